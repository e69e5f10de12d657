/**
 * OpenSearch with cross-cluster replication. Taking over means: no rule starts a follower any more, and each follower is
 * stopped, which makes it an index that takes writes. That cannot be taken back: a follower is made anew from the other
 * side. The API stops one index at a time, and knows no pattern.
 */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import { type ApiEffects, type ApiOptions, type ComponentApi, componentApi, objectsOf } from './http-component.ts';
import { type CheckResult, liveEpoch } from './layer.ts';

const root = '/_plugins/_replication';

interface Followers {
  names: readonly string[];
  /** In any state, also those the API counts and does not name. */
  count: number;
  failed: number;
}

/** `leaderAlias`: the name of the connection to the other region. */
export function createOpenSearch(options: ApiOptions & { leaderAlias: string }): ApiEffects {
  const api = componentApi('OpenSearch', options);
  const { label } = api;
  return {
    promote: async (context, authority) => {
      const rules = await rulesOf(context, api);
      for (const name of rules) {
        liveEpoch(authority);
        const json = { leader_alias: options.leaderAlias, name };
        await api.send(context, { method: 'DELETE', path: `${root}/_autofollow`, json });
      }
      const { names } = await followersOf(context, api);
      for (const index of names) {
        liveEpoch(authority);
        await api.send(context, { method: 'POST', path: `${root}/${encodeURIComponent(index)}/_stop`, json: {} });
      }
      return { sentence: `${label}: ${rules.length} rules are deleted and ${names.length} followers stopped.` };
    },
    verify: async (context) => {
      const [rules, { count }] = [await rulesOf(context, api), await followersOf(context, api)];
      if (rules.length > 0)
        throw new CatalystError('InvalidState', `${label} still follows by the rules ${rules.join(', ')}.`);
      if (count > 0)
        throw new CatalystError(
          'InvalidState',
          `${label} has ${count} followers that are paused, failed or not stopped yet.`,
          {
            hint: `Stop each that is not named by the API: POST ${root}/INDEX/_stop.`,
          },
        );
      return { sentence: `${label} follows nothing; every index takes writes.` };
    },
    divergence: async () =>
      `${label}: operations the old leader took after the last one fetched are there and not here; its indices have to be made followers anew.`,
    checks: async (context) => [await checkFollowers(context, api)],
    close: async () => api.close(),
  };
}

async function rulesOf(context: CallContext, api: ComponentApi): Promise<string[]> {
  const stats = await api.json(context, { path: `${root}/autofollow_stats` });
  return objectsOf(stats, 'autofollow_stats').map(({ name }) => String(name));
}

async function followersOf(context: CallContext, api: ComponentApi): Promise<Followers> {
  const stats = await api.json(context, { path: `${root}/follower_stats` });
  if (!isObject(stats)) throw new CatalystError('UpstreamRefused', `${api.label} answers with something else.`);
  const names = isObject(stats.index_stats) ? Object.keys(stats.index_stats) : [];
  const number = (key: string) => (typeof stats[key] === 'number' ? stats[key] : 0);
  const failed = number('num_failed_indices');
  const counted =
    number('num_syncing_indices') + number('num_bootstrapping_indices') + number('num_paused_indices') + failed;
  return { names, count: Math.max(names.length, counted), failed };
}

async function checkFollowers(context: CallContext, api: ComponentApi): Promise<CheckResult> {
  const check = 'opensearch-followers';
  try {
    const { failed, count } = await followersOf(context, api);
    if (failed > 0) return { check, verdict: 'failed', sentence: `${api.label}: ${failed} followers have failed.` };
    return { check, verdict: 'passed', sentence: `${api.label}: ${count} followers, none has failed.` };
  } catch (error) {
    return { check, verdict: 'unknown', sentence: messageOf(error) };
  }
}
