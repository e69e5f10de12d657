/** Deployment → ReplicaSets: one ReplicaSet per template, a rollout from the old ones to the new one, a history. */
import { createHash } from 'node:crypto';
import type { Condition, KubeObject, PodTemplate, Workload, WorkloadStatus } from '../kubernetes/object.ts';
import { kubeTime, sameJson } from '../kubernetes/object.ts';
import { CONTROLLER, CONTROLLER_STATUS, type Context, controllerReference, ownedBy, recordEvent } from './context.ts';

const REVISION = 'deployment.kubernetes.io/revision';
const HASH = 'pod-template-hash';

interface DeploymentSpec {
  paused?: boolean;
  strategy?: { type?: string; rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string } };
  revisionHistoryLimit?: number;
  progressDeadlineSeconds?: number;
}

/** Brings every Deployment one step nearer to its specification. */
export function reconcileDeployments(context: Context): void {
  const { store } = context;
  for (const object of store.list(store.types.ofKind('apps/v1', 'Deployment'))) {
    if (object.metadata.deletionTimestamp === undefined) reconcile(context, object as Workload);
  }
}

function reconcile(context: Context, deployment: Workload): void {
  const { store } = context;
  const type = store.types.ofKind('apps/v1', 'ReplicaSet');
  const spec = deployment.spec as Workload['spec'] & DeploymentSpec;
  const owned = ownedBy<Workload>(store, type, deployment);
  const fits = (set: Workload) => sameJson(bare(set.spec.template), bare(spec.template));
  const current = owned.find(fits);
  if (!spec.paused || !current) promote(context, deployment, owned, current);
  const sets = ownedBy<Workload>(store, type, deployment);
  const newest = sets.find(fits);
  if (newest) {
    const old = sets.filter((set) => set !== newest);
    if (!spec.paused) rollOut(context, deployment, newest, old);
    prune(context, old, spec.revisionHistoryLimit ?? 10);
    writeStatus(context, deployment, newest, sets);
  }
}

function bare(template: PodTemplate): unknown {
  const { [HASH]: _, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

function revisionOf(object: KubeObject): number {
  return Number(object.metadata.annotations?.[REVISION] ?? 0);
}

/** Makes the ReplicaSet of the wanted template the newest revision; creates it when the template is new. */
function promote(context: Context, deployment: Workload, owned: Workload[], current: Workload | undefined): void {
  const { store } = context;
  const highest = Math.max(0, ...owned.map(revisionOf));
  const revision = String(current && revisionOf(current) === highest ? highest : highest + 1);
  const type = store.types.ofKind('apps/v1', 'ReplicaSet');
  if (!current) {
    const { metadata, spec } = deployment;
    const hash = createHash('sha256').update(JSON.stringify(spec.template)).digest('hex').slice(0, 10);
    const name = `${metadata.name}-${hash}`;
    // Left behind by a Deployment of this name that is gone: when it has been collected, the next round makes ours.
    if (store.find(type, metadata.namespace, name)) return;
    const labels = { ...spec.template.metadata?.labels, [HASH]: hash };
    const cause = metadata.annotations?.['kubernetes.io/change-cause'];
    const draft: unknown = {
      metadata: {
        name,
        namespace: metadata.namespace,
        labels,
        annotations: { [REVISION]: revision, ...(cause ? { 'kubernetes.io/change-cause': cause } : {}) },
        ownerReferences: [controllerReference(deployment)],
      },
      spec: {
        replicas: 0,
        selector: { matchLabels: { ...spec.selector.matchLabels, [HASH]: hash } },
        template: { ...spec.template, metadata: { ...spec.template.metadata, labels } },
      },
    };
    store.create(type, draft as KubeObject, CONTROLLER);
  } else if (revisionOf(current) !== Number(revision)) {
    store.edit(type, current, CONTROLLER, (draft) => {
      draft.metadata.annotations = { ...draft.metadata.annotations, [REVISION]: revision };
    });
  }
  if (deployment.metadata.annotations?.[REVISION] === revision) return;
  store.edit(store.types.ofKind('apps/v1', 'Deployment'), deployment, CONTROLLER, (draft) => {
    draft.metadata.annotations = { ...draft.metadata.annotations, [REVISION]: revision };
  });
}

function share(value: number | string | undefined, of: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value;
  return round((Number.parseInt(value ?? '25%', 10) / 100) * of);
}

/** One step of a rollout: pods of the new template first, as the budget allows, then fewer of the old ones. */
function rollOut(context: Context, deployment: Workload, newest: Workload, old: Workload[]): void {
  const spec = deployment.spec as Workload['spec'] & DeploymentSpec;
  const wanted = spec.replicas;
  const oldCount = sum(old, (set) => set.spec.replicas);
  const oldPods = sum(old, (set) => set.status.replicas ?? 0);
  if (spec.strategy?.type === 'Recreate') {
    for (const set of old) scale(context, deployment, set, 0);
    if (oldCount + oldPods === 0) scale(context, deployment, newest, wanted);
    return;
  }
  const surge = share(spec.strategy?.rollingUpdate?.maxSurge, wanted, Math.ceil);
  const allowed = share(spec.strategy?.rollingUpdate?.maxUnavailable, wanted, Math.floor);
  const unavailable = surge + allowed === 0 ? 1 : allowed;
  const room = wanted + surge - oldCount;
  const next = newest.spec.replicas > wanted ? wanted : Math.max(newest.spec.replicas, Math.min(wanted, room));
  scale(context, deployment, newest, next);
  const available = sum([newest, ...old], (set) => set.status.availableReplicas ?? 0);
  let spare = available - (wanted - unavailable);
  for (const set of old) {
    // Pods of the old template that do not work are of no use to anybody: they go first and cost nothing.
    const broken = Math.max(0, set.spec.replicas - (set.status.availableReplicas ?? 0));
    const going = Math.min(set.spec.replicas, broken + Math.max(0, spare));
    spare -= going - Math.min(broken, going);
    scale(context, deployment, set, set.spec.replicas - going);
  }
}

function scale(context: Context, deployment: Workload, set: Workload, replicas: number): void {
  const before = set.spec.replicas;
  if (before === replicas) return;
  const { store } = context;
  store.edit<Workload>(store.types.ofKind('apps/v1', 'ReplicaSet'), set, CONTROLLER, (draft) => {
    draft.spec.replicas = replicas;
  });
  const message = `Scaled ${replicas > before ? 'up' : 'down'} replica set ${set.metadata.name} from ${before} to ${replicas}`;
  recordEvent(context, deployment, 'Normal', 'ScalingReplicaSet', message, 'deployment-controller');
}

function prune({ store }: Context, old: Workload[], limit: number): void {
  const empty = old.filter((set) => set.spec.replicas === 0 && (set.status.replicas ?? 0) === 0);
  const surplus = empty.toSorted((a, b) => revisionOf(a) - revisionOf(b)).slice(0, Math.max(0, empty.length - limit));
  const type = store.types.ofKind('apps/v1', 'ReplicaSet');
  for (const set of surplus) store.delete(type, set.metadata.namespace, set.metadata.name);
}

function sum(sets: Workload[], count: (set: Workload) => number): number {
  return sets.reduce((total, set) => total + count(set), 0);
}

function writeStatus(context: Context, deployment: Workload, newest: Workload, sets: Workload[]): void {
  const { store } = context;
  const type = store.types.ofKind('apps/v1', 'Deployment');
  const wanted = deployment.spec.replicas;
  const replicas = sum(sets, (set) => set.status.replicas ?? 0);
  const available = sum(sets, (set) => set.status.availableReplicas ?? 0);
  const counts = {
    replicas,
    updatedReplicas: newest.status.replicas ?? 0,
    readyReplicas: sum(sets, (set) => set.status.readyReplicas ?? 0),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available),
  };
  const nonZero = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  // The metadata may be newer than the object in hand, the specification is what was reconciled.
  const observedGeneration = deployment.metadata.generation ?? 1;
  const conditions = conditionsOf(context, deployment, counts, newest);
  const status = { observedGeneration, ...nonZero, conditions };
  if (sameJson(status, deployment.status)) return;
  store.edit<Workload>(type, deployment, CONTROLLER_STATUS, (draft) => {
    draft.status = status;
  });
}

function conditionsOf(context: Context, deployment: Workload, counts: WorkloadStatus, newest: Workload): Condition[] {
  const spec = deployment.spec as Workload['spec'] & DeploymentSpec;
  const { availableReplicas = 0, updatedReplicas = 0, replicas = 0 } = counts;
  const allowed = share(spec.strategy?.rollingUpdate?.maxUnavailable, spec.replicas, Math.floor);
  const isAvailable = availableReplicas >= spec.replicas - allowed;
  const isComplete =
    updatedReplicas === spec.replicas && replicas === spec.replicas && availableReplicas >= spec.replicas;
  const name = newest.metadata.name;
  const available: Condition = {
    type: 'Available',
    status: isAvailable ? 'True' : 'False',
    reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: `Deployment ${isAvailable ? 'has' : 'does not have'} minimum availability.`,
  };
  const before = deployment.status.conditions?.find((condition) => condition.type === 'Progressing');
  const old = deployment.status;
  const moved =
    (old.updatedReplicas ?? 0) !== updatedReplicas ||
    (old.replicas ?? 0) !== replicas ||
    (old.availableReplicas ?? 0) !== availableReplicas;
  const since = Date.parse(before?.lastUpdateTime ?? kubeTime(context.now()));
  const isOver = context.now() - since > (spec.progressDeadlineSeconds ?? 600) * 1000;
  const isLate = !moved && (isOver || before?.reason === 'ProgressDeadlineExceeded');
  const progressing: Condition = {
    type: 'Progressing',
    status: isComplete || !isLate ? 'True' : 'False',
    reason: isComplete ? 'NewReplicaSetAvailable' : isLate ? 'ProgressDeadlineExceeded' : 'ReplicaSetUpdated',
    message: isComplete
      ? `ReplicaSet "${name}" has successfully progressed.`
      : `ReplicaSet "${name}" ${isLate ? 'has timed out progressing' : 'is progressing'}.`,
  };
  const time = kubeTime(context.now());
  return [available, progressing].map((condition) => {
    const old = deployment.status.conditions?.find((c) => c.type === condition.type);
    const same =
      old?.status === condition.status && old.reason === condition.reason && old.message === condition.message;
    const keepsUpdate = same && !(condition.type === 'Progressing' && moved);
    return {
      ...condition,
      lastUpdateTime: keepsUpdate ? (old.lastUpdateTime ?? time) : time,
      lastTransitionTime: old?.status === condition.status ? (old.lastTransitionTime ?? time) : time,
    };
  });
}
