/**
 * Kafka by Strimzi, mirrored with MirrorMaker 2. Taking over means: stop the mirror that writes into this region, and be
 * sure of it. There is no fence inside Kafka (no read-only switch): its listener is behind the gate. Taking the roles back
 * duplicates records; Strimzi's own advice is to rebuild the old cluster and mirror back.
 */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext, Json } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import type { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import type { KubernetesObject } from '../../integrations/kubernetes/objects.ts';
import { patchUnderEpoch } from './epoch-write.ts';
import { type Authority, type CheckResult, type Component, liveEpoch, type StepOutcome, waitFor } from './layer.ts';

export interface MirrorOptions {
  namespace: string;
  /** The KafkaMirrorMaker2 that mirrors from the other region into this one. */
  mirror: string;
}

/** All connectors of a mirror; the newer API has no heartbeat connector any more. */
const connectors = ['sourceConnector', 'checkpointConnector', 'heartbeatConnector'] as const;

const lookEveryMs = 1_000;

type Effects = Pick<Component, 'position' | 'fence' | 'demote' | 'promote' | 'verify' | 'divergence' | 'checks'>;

export function createMirrorMaker({ namespace, mirror }: MirrorOptions, api: KubernetesApi): Effects {
  const label = `KafkaMirrorMaker2 ${namespace}/${mirror}`;
  let served: string | undefined;
  const reference = async (context: CallContext) => {
    served ??= (await api.serves(context, 'kafka.strimzi.io/v1')) ? 'kafka.strimzi.io/v1' : 'kafka.strimzi.io/v1beta2';
    return { apiVersion: served, kind: 'KafkaMirrorMaker2', namespace, name: mirror };
  };
  const read = async (context: CallContext) => api.get(context, await reference(context));

  const setState = async (context: CallContext, authority: Authority, state: 'running' | 'stopped') =>
    patchUnderEpoch(api, context, authority, await reference(context), (object) =>
      mirrorsOf(object).every((one) => statesOf(one).every((is) => is === state))
        ? undefined
        : { spec: { mirrors: mirrorsOf(object).map((one) => withState(one, state)) } },
    );

  const gated = async (): Promise<StepOutcome> => ({
    sentence: `Kafka has no read-only switch; its listener is behind the gate (${label}).`,
  });

  return {
    position: async () => null,
    fence: gated,
    demote: gated,
    promote: async (context, authority) => {
      liveEpoch(authority);
      await setState(context, authority, 'stopped');
      await waitFor(context, `${label} to stop`, lookEveryMs, async () => {
        const running = notStopped(await read(context));
        return running ?? { done: true };
      });
      return { sentence: `${label} is stopped: nothing is mirrored into this region any more.` };
    },
    verify: async (context) => {
      const running = notStopped(await read(context));
      if (running !== undefined) throw new CatalystError('InvalidState', `${label}: ${running}.`);
      return { sentence: `${label} is stopped in all its connectors.` };
    },
    divergence: async () =>
      `${label}: records the old region took after the last one mirrored are there and not here; consumers may see records twice. Rebuild the old cluster and mirror back.`,
    checks: async (context) => {
      try {
        const object = await api.find(context, await reference(context));
        return [mirrorCheck(object, label)];
      } catch (error) {
        return [{ check: 'kafka-mirror', verdict: 'unknown', sentence: `${label}: ${messageOf(error)}.` }];
      }
    },
  };
}

function mirrorsOf(object: KubernetesObject): Record<string, unknown>[] {
  const mirrors = object.spec?.mirrors;
  return Array.isArray(mirrors) ? mirrors.filter(isObject) : [];
}

function statesOf(mirror: Record<string, unknown>): unknown[] {
  return connectors.flatMap((name) => {
    const connector = mirror[name];
    return isObject(connector) ? [connector.state ?? 'running'] : [];
  });
}

function withState(mirror: Record<string, unknown>, state: string): Json {
  const changed = connectors.flatMap((name) => {
    const connector = mirror[name];
    // `pause` is the older way to say it, and the operator refuses both together.
    return isObject(connector) ? [[name, { ...connector, state, pause: undefined }] as const] : [];
  });
  return { ...mirror, ...Object.fromEntries(changed) } as Json;
}

/** Which connector still runs, as the operator reports it; undefined when all are stopped. */
function notStopped(object: KubernetesObject): string | undefined {
  const reported = Array.isArray(object.status?.connectors) ? object.status.connectors.filter(isObject) : [];
  if (reported.length === 0) return 'the operator reports no connector yet';
  if (object.metadata.generation !== object.status?.observedGeneration)
    return 'the operator has not seen the change yet';
  const running = reported.find((one) => !(isObject(one.connector) && one.connector.state === 'STOPPED'));
  return running === undefined ? undefined : `connector ${String(running.name)} is not STOPPED`;
}

function mirrorCheck(object: KubernetesObject | undefined, label: string): CheckResult {
  const check = 'kafka-mirror';
  if (object === undefined) return { check, verdict: 'failed', sentence: `${label} does not exist in this region.` };
  const synced = mirrorsOf(object).every((mirror) => {
    const { checkpointConnector } = mirror;
    const config =
      isObject(checkpointConnector) && isObject(checkpointConnector.config) ? checkpointConnector.config : {};
    return String(config['sync.group.offsets.enabled'] ?? 'false') === 'true';
  });
  if (!synced)
    return {
      check,
      verdict: 'failed',
      sentence: `${label}: sync.group.offsets.enabled is not set on the checkpoint connector; consumers would start anew.`,
    };
  return { check, verdict: 'passed', sentence: `${label} mirrors, and syncs the offsets of consumer groups.` };
}
