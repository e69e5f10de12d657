/** From Kubernetes objects to the maps that facts return. Pure. */
import type { Json } from '../contract.ts';
import type { ContainerStatus, KubernetesEvent, KubernetesObject, Pod, PodMetrics, Workload } from './objects.ts';

export function workloadFact(object: Workload): Json {
  const { spec = {}, status = {}, metadata } = object;
  return {
    uid: metadata.uid,
    replicas: spec.replicas ?? 1,
    readyReplicas: status.readyReplicas ?? 0,
    availableReplicas: status.availableReplicas ?? 0,
    updatedReplicas: status.updatedReplicas ?? 0,
    generation: metadata.generation ?? 0,
    observedGeneration: status.observedGeneration ?? 0,
    image: spec.template?.spec?.containers?.[0]?.image ?? '',
    paused: spec.paused ?? false,
  };
}

/** DaemonSets count nodes, and call the same numbers by other names. */
export function daemonSetFact(object: Workload): Json {
  const status = object.status ?? {};
  const count = (name: string) => (typeof status[name] === 'number' ? status[name] : 0);
  return {
    ...(workloadFact(object) as { [key: string]: Json }),
    replicas: count('desiredNumberScheduled'),
    readyReplicas: count('numberReady'),
    availableReplicas: count('numberAvailable'),
    updatedReplicas: count('updatedNumberScheduled'),
  };
}

/** @param now milliseconds since the epoch */
export function podFact(pod: Pod, now: number): Json {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
  const first = (pick: (status: ContainerStatus) => string | undefined) =>
    statuses.map(pick).find((reason) => reason !== undefined) ?? '';
  return {
    name: pod.metadata.name,
    uid: pod.metadata.uid,
    phase: pod.status?.phase ?? 'Unknown',
    ready: podReady(pod),
    deleting: pod.metadata.deletionTimestamp !== undefined,
    restarts: statuses.reduce((sum, status) => sum + (status.restartCount ?? 0), 0),
    waitingReason: first((status) => status.state?.waiting?.reason),
    lastTerminationReason: first((status) => status.lastState?.terminated?.reason ?? status.state?.terminated?.reason),
    secondsSinceTermination: sinceTermination(statuses, now),
    node: pod.spec?.nodeName ?? '',
    owner: owner === undefined ? '' : `${owner.kind}/${owner.name}`,
  };
}

/** Seconds since a container ended last; -1 where none ever has. */
function sinceTermination(statuses: readonly ContainerStatus[], now: number): number {
  const ends = statuses
    .flatMap(({ state, lastState }) => [state?.terminated?.finishedAt, lastState?.terminated?.finishedAt])
    .map((time) => Date.parse(time ?? ''))
    .filter((time) => !Number.isNaN(time));
  // Clocks of nodes differ: an end in the future is one just now.
  return ends.length === 0 ? -1 : Math.max(0, Math.floor((now - Math.max(...ends)) / 1000));
}

/** Ready and staying: a pod that is being deleted can be Ready to its last second. */
export function podReady(pod: Pod): boolean {
  const ready = pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
  return ready && pod.metadata.deletionTimestamp === undefined;
}

export function nodeFact(node: KubernetesObject): Json {
  const conditions = Array.isArray(node.status?.conditions)
    ? (node.status.conditions as { type: string; status: string }[])
    : [];
  return {
    ready: conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    schedulable: node.spec?.unschedulable !== true,
    pressure: conditions
      .filter(({ type, status }) => type.endsWith('Pressure') && status === 'True')
      .map(({ type }) => type),
  };
}

/** The newest events, newest first. */
export function eventsFact(events: readonly KubernetesEvent[], limit: number): Json {
  const at = (event: KubernetesEvent) => event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? '';
  const newest = [...events].sort((a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : 0)).slice(0, limit);
  return newest.map((event) => ({
    at: at(event),
    type: event.type ?? '',
    reason: event.reason ?? '',
    message: event.message ?? '',
    count: event.count ?? 1,
    kind: event.involvedObject?.kind ?? '',
  }));
}

/** Bytes of memory a pod uses, over its containers. */
export function memoryOf(metrics: PodMetrics): number {
  return (metrics.containers ?? []).reduce((sum, { usage }) => sum + quantity(usage?.memory ?? '0'), 0);
}

/** The largest share of its limit that any container uses; undefined where no container has a limit. */
export function memoryRatio(pods: readonly Pod[], metrics: readonly PodMetrics[]): number | undefined {
  const limits = new Map<string, number>();
  for (const pod of pods) {
    for (const container of pod.spec?.containers ?? []) {
      const limit = container.resources?.limits?.memory;
      if (limit !== undefined) limits.set(`${pod.metadata.name}/${container.name}`, quantity(limit));
    }
  }
  const ratios = metrics.flatMap((one) =>
    (one.containers ?? []).flatMap(({ name, usage }) => {
      const limit = limits.get(`${one.metadata.name}/${name}`);
      return limit === undefined || limit === 0 ? [] : [quantity(usage?.memory ?? '0') / limit];
    }),
  );
  return ratios.length === 0 ? undefined : Math.max(...ratios);
}

const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** A Kubernetes quantity (`128974848`, `129e6`, `129M`, `123Mi`) as a number; NaN when it is none. */
export function quantity(text: string): number {
  const [, digits, exponent, suffix = ''] =
    /^([0-9]+(?:\.[0-9]+)?)(?:[eE]([0-9]+))?([numkMGTP]|[KMGTP]i)?$/.exec(text) ?? [];
  if (digits === undefined) return Number.NaN;
  return Number(digits) * 10 ** Number(exponent ?? 0) * (suffixes[suffix] ?? Number.NaN);
}
