/** Looks for the pre-flight checks that belong to no single layer: the verdicts are in `preflight-decision.ts`. */
import type { FailoverGroupSpec } from '../catalog/kinds/failover-group.ts';
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { CallContext } from '../integrations/contract.ts';
import { isObject } from '../integrations/define.ts';
import type { KubernetesApi } from '../integrations/kubernetes/client.ts';
import type { KubernetesObject, Pod } from '../integrations/kubernetes/objects.ts';
import { quantity } from '../integrations/kubernetes/observe.ts';
import type { CheckResult } from './layers/layer.ts';
import {
  type Caching,
  cachingCheck,
  capacityCheck,
  clockCheck,
  type HeardDate,
  type PodPlace,
  type QuotaUse,
} from './preflight-decision.ts';

/** Something that can be looked at before anything is moved. */
export interface Checker {
  name: string;
  checks(context: CallContext): Promise<CheckResult[]>;
}

/** Remembers the newest `Date` of each of the others, and says how the clocks stand. */
export class ClockWatch implements Checker {
  readonly name = 'clocks';
  readonly #names: readonly string[];
  readonly #clock: Clock;
  readonly #heard = new Map<string, HeardDate>();
  /** Asked before each verdict, where nobody talks by itself. */
  readonly #ask: (signal: AbortSignal) => Promise<void>;

  constructor(names: readonly string[], clock: Clock, ask: (signal: AbortSignal) => Promise<void> = async () => {}) {
    this.#names = names;
    this.#clock = clock;
    this.#ask = ask;
  }

  /** `header`: the `Date` of an answer, if it had one. */
  hear(name: string, sentAt: number, header: string | undefined): void {
    const date = Date.parse(header ?? '');
    if (!Number.isNaN(date)) this.#heard.set(name, { sentAt, receivedAt: this.#clock.now(), date });
  }

  async checks({ signal }: CallContext): Promise<CheckResult[]> {
    // Nobody answering is what the verdict then says.
    await this.#ask(signal).catch(() => {});
    return this.#names.map((name) => clockCheck(name, this.#heard.get(name), this.#clock.now()));
  }
}

/** Asks each resolver one question about a group twice. */
export type CachingLook = (
  group: string,
  signal: AbortSignal,
) => Promise<readonly { resolver: string; caching: Caching }[]>;

/** Whether resolvers keep our answers. */
export function cachingChecker(group: string, look: CachingLook): Checker {
  return { name: 'probe-caching', checks: async ({ signal }) => [cachingCheck(await look(group, signal))] };
}

/** Room for the workloads of a group, in each of its namespaces. */
export function capacityChecker(spec: FailoverGroupSpec, api: () => KubernetesApi): Checker | undefined {
  const { external, internal, components } = spec;
  const objects = [
    ...(external?.httpRoutes ?? []),
    ...(internal?.services ?? []),
    ...(components ?? []).flatMap(({ cluster }) => cluster ?? []),
  ];
  const namespaces = [...new Set(objects.map(({ namespace }) => namespace))];
  if (namespaces.length === 0) return undefined;
  return {
    name: 'capacity',
    checks: (context) =>
      Promise.all(
        namespaces.map(async (namespace): Promise<CheckResult> => {
          try {
            const pods = await listOf<Pod>(api(), context, 'Pod', 'pods', namespace);
            const quotas = await listOf(api(), context, 'ResourceQuota', 'resourcequotas', namespace);
            return capacityCheck(namespace, pods.map(placeOf), quotas.flatMap(usesOf));
          } catch (error) {
            return { check: 'capacity', verdict: 'unknown', sentence: `Namespace ${namespace}: ${messageOf(error)}.` };
          }
        }),
      ),
  };
}

async function listOf<T extends KubernetesObject>(
  api: KubernetesApi,
  context: CallContext,
  kind: string,
  plural: string,
  namespace: string,
): Promise<T[]> {
  return (await api.list<T>(context, { apiVersion: 'v1', kind, plural, namespaced: true }, namespace)).items;
}

function placeOf({ metadata, status }: Pod): PodPlace {
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return {
    name: metadata.name,
    phase: status?.phase ?? '',
    unschedulable: (status?.conditions ?? []).some(
      ({ type, status: is, reason }) => type === 'PodScheduled' && is === 'False' && reason === 'Unschedulable',
    ),
    waiting: containers.flatMap(({ state }) => state?.waiting?.reason ?? []),
  };
}

function usesOf({ metadata, status }: KubernetesObject): QuotaUse[] {
  const { used, hard } = status ?? {};
  if (!isObject(used) || !isObject(hard)) return [];
  return Object.entries(hard).flatMap(([resource, limit]) => {
    const [most, now] = [quantity(String(limit)), quantity(String(used[resource] ?? '0'))];
    // A quota of nothing is a ban, not a lack of room.
    return most > 0 && !Number.isNaN(now) ? [{ name: metadata.name, resource, used: now, hard: most }] : [];
  });
}
