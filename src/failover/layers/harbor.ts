/**
 * Harbor, replicated by policy. Registries are active on both sides; what has to change is that nothing is pulled from the
 * region that was lost over what is written here from now on. Rules that push from there are that region's own.
 */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import { type ApiEffects, type ApiOptions, type ComponentApi, componentApi } from './http-component.ts';
import { type CheckResult, liveEpoch } from './layer.ts';

const root = '/api/v2.0';
/** Most rules looked at: Harbor's own largest page. */
const pageSize = '100';

export function createHarbor(options: ApiOptions): ApiEffects {
  const api = componentApi('Harbor', options);
  const { label } = api;
  return {
    promote: async (context, authority) => {
      const pulling = await pullingRules(context, api);
      for (const policy of pulling) {
        liveEpoch(authority);
        // The whole rule: what is left out of a PUT is reset.
        const path = `${root}/replication/policies/${String(policy.id)}`;
        await api
          .json(context, { path })
          .then((whole) => put(context, api, path, { ...(isObject(whole) ? whole : policy), enabled: false }));
        for (const { id } of await runningOf(context, api, policy.id)) {
          liveEpoch(authority);
          await put(context, api, `${root}/replication/executions/${String(id)}`, undefined);
        }
      }
      return { sentence: `${label}: ${pulling.length} rules that pull from elsewhere are switched off.` };
    },
    verify: async (context) => {
      const wrong = await notReady(context, api);
      if (wrong !== undefined) throw new CatalystError('InvalidState', `${label} ${wrong}.`);
      return { sentence: `${label} is healthy, takes pushes, and pulls nothing from elsewhere.` };
    },
    divergence: async () =>
      `${label}: tags pushed to the old region after its last replication are there and not here. Switch its rules off before it returns: they push into this region.`,
    checks: async (context) => [await checkHealth(context, api)],
    close: async () => api.close(),
  };
}

async function list(context: CallContext, api: ComponentApi, path: string, query: Record<string, string>) {
  const found = await api.json(context, { path, query: { page_size: pageSize, ...query } });
  return Array.isArray(found) ? found.filter(isObject) : [];
}

async function put(context: CallContext, api: ComponentApi, path: string, json: unknown): Promise<void> {
  await api.send(context, { method: 'PUT', path, ...(json === undefined ? {} : { json }) });
}

/** Enabled rules whose source is another registry: id 0 is this one. */
async function pullingRules(context: CallContext, api: ComponentApi) {
  const policies = await list(context, api, `${root}/replication/policies`, {});
  return policies.filter(
    ({ enabled, src_registry: from }) =>
      enabled === true && isObject(from) && typeof from.id === 'number' && from.id > 0,
  );
}

function runningOf(context: CallContext, api: ComponentApi, policy: unknown) {
  return list(context, api, `${root}/replication/executions`, { policy_id: String(policy), status: 'InProgress' });
}

async function notReady(context: CallContext, api: ComponentApi): Promise<string | undefined> {
  const health = await api.json(context, { path: `${root}/health` });
  if (!isObject(health) || health.status !== 'healthy') return 'says that it is not healthy';
  const settings = await api.json(context, { path: `${root}/configurations` });
  const readOnly = isObject(settings) && isObject(settings.read_only) ? settings.read_only.value : undefined;
  if (readOnly === true) return 'is read-only: switch "Repository Read Only" off';
  const pulling = await pullingRules(context, api);
  return pulling.length > 0 ? `still pulls by ${pulling.map(({ name }) => String(name)).join(', ')}` : undefined;
}

async function checkHealth(context: CallContext, api: ComponentApi): Promise<CheckResult> {
  const check = 'harbor-healthy';
  try {
    const health = await api.json(context, { path: `${root}/health` });
    const healthy = isObject(health) && health.status === 'healthy';
    const sentence = `${api.label} says that it is ${healthy ? '' : 'not '}healthy.`;
    return { check, verdict: healthy ? 'passed' : 'failed', sentence };
  } catch (error) {
    return { check, verdict: 'unknown', sentence: messageOf(error) };
  }
}
