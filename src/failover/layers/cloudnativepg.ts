/**
 * CloudNativePG in a distributed topology. Planned: the active is demoted, the operator archives the last WAL and writes a
 * token, and the other region is promoted with that token: nothing is lost and nothing is rebuilt. Unplanned: promoted
 * without a token, and the old active has to be cloned again. Documented in CloudNativePG's "Replica clusters".
 */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import type { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import type { KubernetesObject } from '../../integrations/kubernetes/objects.ts';
import type { Json } from '../lease.ts';
import { backupCheck } from '../preflight-decision.ts';
import { patchUnderEpoch } from './epoch-write.ts';
import { type Authority, type CheckResult, type Component, liveEpoch, type StepOutcome, waitFor } from './layer.ts';

/** Guarantees that no postmaster runs: the fence that a reboot does not lift. */
export const fencedInstances = 'cnpg.io/fencedInstances';
const everyInstance = '["*"]';

/** Looks at the cluster so often while it changes, ms. */
const lookEveryMs = 1_000;

export interface PostgresOptions {
  name: string;
  namespace: string;
  cluster: string;
  /** This region and the other one; also the names of the clusters in the distributed topology. */
  region: string;
  peer: string;
  /** F, ms: what `switchoverDelay` must not exceed. */
  fenceBudgetMs: number;
  /** What a step of a planned switchover is sure of, ms. */
  stepMs: number;
}

interface Replica {
  self?: string;
  primary?: string;
  source?: string;
  enabled?: boolean;
  promotionToken?: string;
  minApplyDelay?: string;
}

type Effects = Pick<Component, 'position' | 'fence' | 'demote' | 'promote' | 'verify' | 'divergence' | 'checks'>;

export function createCloudNativePg(options: PostgresOptions, api: KubernetesApi): Effects {
  const { region, peer, namespace, cluster } = options;
  const reference = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', namespace, name: cluster };
  const label = `Cluster ${namespace}/${cluster}`;
  const read = (context: CallContext) => api.get(context, reference);

  const fence = async (context: CallContext, authority: Authority): Promise<StepOutcome> => {
    await patchUnderEpoch(api, context, authority, reference, (object) =>
      object.metadata.annotations?.[fencedInstances] === everyInstance
        ? undefined
        : { metadata: { annotations: { [fencedInstances]: everyInstance } } },
    );
    return { sentence: `${label} is fenced: no instance may run.` };
  };

  return {
    position: async (context) => positionOf(await read(context)),
    fence: async (context, authority) => {
      const object = await api.find(context, reference);
      if (object === undefined) return { sentence: `${label} does not exist here: there is nothing to fence.` };
      // A replica takes no writes by itself, and has to go on receiving.
      if (replicaOf(object).primary !== region) return { sentence: `${label} is a replica, and takes no writes.` };
      return fence(context, authority);
    },

    demote: async (context, authority) => {
      const before = tokenOf(await read(context));
      liveEpoch(authority);
      await patchUnderEpoch(api, context, authority, reference, (object) => {
        if (replicaOf(object).primary === peer) return undefined;
        // The old token goes in the same patch: the operator refuses one on a replica (cloudnative-pg#9273).
        return { spec: { replica: { primary: peer, source: peer, promotionToken: null } } };
      });
      const token = await waitFor(context, `${label} to be demoted`, lookEveryMs, async () => {
        const object = await read(context);
        const now = tokenOf(object);
        if (!isTrue(object, 'ReplicaClusterSwitch')) return 'its condition ReplicaClusterSwitch is not True yet';
        // A token that was there before belongs to an earlier switch.
        if (now === undefined || now === before) return 'it has no new demotion token yet';
        return { token: now };
      });
      return { sentence: `${label} is demoted, its last WAL archived.`, handover: { demotionToken: token.token } };
    },

    promote: async (context, authority, handover) => {
      const token =
        isObject(handover) && typeof handover.demotionToken === 'string' ? handover.demotionToken : undefined;
      liveEpoch(authority);
      // One patch: without the token beside it the operator would take this for a failover, and rebuild the peer.
      await patchUnderEpoch(api, context, authority, reference, (object) => ({
        ...(replicaOf(object).primary === region && (token === undefined || replicaOf(object).promotionToken === token)
          ? {}
          : { spec: { replica: { primary: region, source: peer, promotionToken: token ?? null } } }),
        metadata: { annotations: { [fencedInstances]: null } },
      }));
      await waitFor(context, `${label} to be promoted`, lookEveryMs, async () => {
        const wrong = notWritable(await read(context), region, token);
        return wrong ?? { done: true };
      });
      const how = token === undefined ? 'without a token: the other region has to be cloned again' : 'by its token';
      return { sentence: `${label} is promoted ${how}.` };
    },

    verify: async (context) => {
      const wrong = notWritable(await read(context), region, undefined);
      if (wrong !== undefined) throw new CatalystError('InvalidState', `${label} is not writable: ${wrong}.`);
      return { sentence: `${label} is the primary cluster and healthy.` };
    },

    divergence: async (context, lastPosition) =>
      describeDivergence(label, positionOf(await read(context)), lastPosition),
    checks: async (context) => {
      try {
        const object = await api.find(context, reference);
        if (object === undefined)
          return [
            { check: 'postgres-topology', verdict: 'failed', sentence: `${label} does not exist in this region.` },
          ];
        return postgresChecks(object, options, label, context.clock.now());
      } catch (error) {
        return [{ check: 'postgres-topology', verdict: 'unknown', sentence: `${label}: ${messageOf(error)}.` }];
      }
    },
  };
}

function replicaOf(object: KubernetesObject): Replica {
  return isObject(object.spec?.replica) ? (object.spec.replica as Replica) : {};
}

function tokenOf(object: KubernetesObject): string | undefined {
  const token = object.status?.demotionToken;
  return typeof token === 'string' && token !== '' ? token : undefined;
}

function isTrue(object: KubernetesObject, type: string): boolean {
  const conditions = Array.isArray(object.status?.conditions) ? object.status.conditions.filter(isObject) : [];
  return conditions.some((condition) => condition.type === type && condition.status === 'True');
}

/** What keeps it from being written, or undefined. */
function notWritable(object: KubernetesObject, region: string, token: string | undefined): string | undefined {
  if (replicaOf(object).primary !== region) return `its primary cluster is ${replicaOf(object).primary ?? 'not named'}`;
  if (object.metadata.annotations?.[fencedInstances]) return 'its instances are fenced';
  if (token !== undefined && object.status?.lastPromotionToken !== token)
    return 'the promotion token is not used up yet';
  const switching = object.status?.switchReplicaClusterStatus;
  if (isObject(switching) && switching.inProgress === true) return 'the switch is in progress';
  const { phase, readyInstances } = object.status ?? {};
  if (typeof readyInstances !== 'number' || readyInstances < 1) return 'no instance is ready';
  // The operator's word for "all is well"; every other phase is on the way to it.
  if (phase !== 'Cluster in healthy state') return `its phase is "${String(phase)}"`;
  return undefined;
}

/** PostgreSQL's own epoch and identity: what tells a diverged line from a continued one. */
function positionOf(object: KubernetesObject): Json {
  const { timelineID, systemID } = object.status ?? {};
  return {
    ...(typeof systemID === 'string' ? { systemId: systemID } : {}),
    ...(typeof timelineID === 'number' ? { timeline: timelineID } : {}),
  };
}

function describeDivergence(label: string, here: Json, there: Json | undefined): string {
  if (!isObject(here) || !isObject(there) || here.systemId === undefined || there.systemId === undefined)
    return `${label}: the old active told no position; compare the WAL of both before it is cloned again.`;
  if (here.systemId !== there.systemId)
    return `${label}: another database than the old active's (system ${String(here.systemId)}, there ${String(there.systemId)}).`;
  return `${label}: timeline ${String(here.timeline)} here; the old active was on ${String(there.timeline)}, and what it wrote there after the last WAL received is not here. It has to be cloned again.`;
}

function postgresChecks(object: KubernetesObject, options: PostgresOptions, label: string, now: number): CheckResult[] {
  const results: CheckResult[] = [];
  const say = (check: string, right: boolean, good: string, bad: string) =>
    results.push({ check, verdict: right ? 'passed' : 'failed', sentence: `${label} ${right ? good : bad}.` });
  const replica = replicaOf(object);
  const topology = replica.enabled === undefined && replica.primary !== undefined && replica.source !== undefined;
  say(
    'postgres-topology',
    topology && replica.minApplyDelay === undefined,
    'is part of a distributed topology',
    'is no distributed topology (replica.primary and source, neither enabled nor minApplyDelay): it cannot be switched without loss',
  );
  const stale = replica.primary !== options.region && replica.promotionToken !== undefined;
  say(
    'postgres-token',
    !stale,
    'has no stale promotion token',
    'is a replica and has a promotionToken, which the operator refuses',
  );
  // CloudNativePG's default is an hour, in which a fence does not bite.
  const delay = typeof object.spec?.switchoverDelay === 'number' ? object.spec.switchoverDelay : 3600;
  say(
    'postgres-switchover-delay',
    delay * 1000 <= options.fenceBudgetMs,
    `shuts down within ${delay} s`,
    `has a switchoverDelay of ${delay} s: the fence has ${options.fenceBudgetMs / 1000} s (fenceBudget)`,
  );
  // A step that is not done by then fails, and the switchover is taken back; a takeover demotes nothing.
  const fits = delay * 1000 <= options.stepMs;
  const step = `switchoverDelay <= L_soft - R (${delay} s ${fits ? '<=' : '>'} ${options.stepMs / 1000} s)`;
  results.push({
    ...{ check: 'postgres-demotion', verdict: fits ? 'passed' : 'failed', advice: true },
    sentence: fits
      ? `${label}: its shutdown fits a step of a planned switchover: ${step}.`
      : `${label}: its shutdown alone may outlast a step of a planned switchover, which is then taken back: ${step}. Lower switchoverDelay, or raise softLimit with hardLimit, ttl, wait and promise.`,
  });
  const probes = isObject(object.spec?.probes) ? object.spec.probes : {};
  const liveness = isObject(probes.liveness) ? probes.liveness : {};
  const isolation = isObject(liveness.isolationCheck) ? liveness.isolationCheck.enabled : undefined;
  results.push(instancesCheck(object, label), rolesCheck(object, label));
  const last = object.status?.lastSuccessfulBackup;
  results.push(backupCheck('postgres-backup', label, typeof last === 'string' ? last : undefined, now));
  say('postgres-isolation-check', isolation !== false, 'checks for isolation', 'has its isolationCheck switched off');
  return results;
}

/** A standby that is to be the primary one needs all its instances, and not when it is too late. */
function instancesCheck(object: KubernetesObject, label: string): CheckResult {
  const check = 'postgres-instances';
  const wanted = object.spec?.instances;
  const { readyInstances } = object.status ?? {};
  if (typeof wanted !== 'number' || typeof readyInstances !== 'number')
    return { check, verdict: 'unknown', sentence: `${label} does not say how many of its instances are ready.` };
  const sentence = `${label}: ${readyInstances} of ${wanted} instances are ready.`;
  return { check, verdict: readyInstances >= wanted ? 'passed' : 'failed', sentence };
}

/**
 * Roles and the Secrets of their passwords, as the operator sees them: the controller itself may read no Secret. Whoever
 * connects after a takeover does so with what is there then.
 */
function rolesCheck(object: KubernetesObject, label: string): CheckResult {
  const check = 'postgres-roles';
  const managed = isObject(object.spec?.managed) ? object.spec.managed.roles : undefined;
  const roles = Array.isArray(managed) ? managed.filter(isObject) : [];
  const secrets = roles.flatMap(({ passwordSecret }) =>
    isObject(passwordSecret) ? [String(passwordSecret.name)] : [],
  );
  const status = isObject(object.status?.managedRolesStatus) ? object.status.managedRolesStatus : {};
  const failing = isObject(status.cannotReconcile) ? Object.keys(status.cannotReconcile) : [];
  if (failing.length > 0)
    return { check, verdict: 'failed', sentence: `${label} cannot make its roles ${failing.join(', ')}.` };
  const versions = object.status?.secretsResourceVersion;
  if (!isObject(versions))
    return { check, verdict: 'unknown', sentence: `${label} does not say which Secrets it has.` };
  const seen = isObject(versions.managedRoleSecretVersion) ? versions.managedRoleSecretVersion : {};
  const missing = secrets.filter((name) => !(name in seen));
  if (missing.length > 0)
    return { check, verdict: 'failed', sentence: `${label} lacks the Secrets ${missing.join(', ')} of its roles.` };
  return { check, verdict: 'passed', sentence: `${label} has its roles and their Secrets.` };
}
