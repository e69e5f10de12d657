/** What one scrape of the whole Sovereign brings: names and labels as the real exporters have them. */
import { isReady } from '../controllers/context.ts';
import type { Pod, Workload } from '../kubernetes/object.ts';
import { isTree } from '../kubernetes/object.ts';
import { APPS, type App } from '../sovereign.ts';
import { bytesOf, latencyBuckets } from '../workloads.ts';
import type { World } from '../world.ts';

export type Labels = Record<string, string>;

export interface Sample {
  /** Includes `__name__`. */
  labels: Labels;
  value: number;
}

type Add = (name: string, labels: Labels, value: number) => void;

/** Every sample of this moment. */
export function scrape(world: World): Sample[] {
  const samples: Sample[] = [];
  const organizations = new Map<string, string | undefined>();
  const organizationOf = (namespace: string) => {
    if (!organizations.has(namespace)) organizations.set(namespace, world.organizationOf(namespace));
    return organizations.get(namespace);
  };
  // The scrape configuration adds the Organization that owns the namespace.
  const add: Add = (name, labels, value) => {
    const organization = labels.namespace === undefined ? undefined : organizationOf(labels.namespace);
    const owner = organization === undefined ? {} : { organization };
    samples.push({ labels: { __name__: name, ...labels, ...owner }, value });
  };
  const pods = world.pods();
  for (const pod of pods) {
    podState(pod, add);
    podUsage(world, pod, pods, add);
    podRequests(world, pod, add);
  }
  for (const app of APPS) if (app.requestsPerSecond > 0) appAnswers(world, app, add);
  workloadState(world, add);
  baoState(world, add);
  for (const organization of Object.keys(world.budgets)) {
    add('catalyst_budget_spend_ratio', { organization, job: 'billing' }, world.spendRatio(organization));
  }
  return samples;
}

const KUBE_STATE = { job: 'kube-state-metrics' };
const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];

function podState(pod: Pod, add: Add): void {
  const { name, namespace = '' } = pod.metadata;
  const labels = { ...KUBE_STATE, namespace, pod: name };
  add('kube_pod_info', { ...labels, node: pod.spec.nodeName ?? '' }, 1);
  for (const phase of PHASES) add('kube_pod_status_phase', { ...labels, phase }, pod.status.phase === phase ? 1 : 0);
  add('kube_pod_status_ready', { ...labels, condition: 'true' }, isReady(pod) ? 1 : 0);
  for (const status of pod.status.containerStatuses ?? []) {
    const container = { ...labels, container: status.name };
    add('kube_pod_container_status_restarts_total', container, status.restartCount);
    const { waiting } = status.state;
    if (isTree(waiting)) {
      add('kube_pod_container_status_waiting_reason', { ...container, reason: String(waiting.reason) }, 1);
    }
    const { terminated } = status.lastState;
    if (isTree(terminated)) {
      add('kube_pod_container_status_last_terminated_reason', { ...container, reason: String(terminated.reason) }, 1);
    }
  }
  const owner = pod.metadata.ownerReferences?.[0];
  if (!owner) return;
  add('kube_pod_owner', { ...labels, owner_kind: owner.kind, owner_name: owner.name, owner_is_controller: 'true' }, 1);
  // The recording rule of the usual Kubernetes rules, which leads from a pod to what deployed it.
  const isDeployed = owner.kind === 'ReplicaSet';
  const workload = isDeployed ? owner.name.replace(/-[^-]+$/, '') : owner.name;
  const workloadType = isDeployed ? 'deployment' : owner.kind.toLowerCase();
  const relation = { namespace, pod: name, workload, workload_type: workloadType };
  add('namespace_workload_pod:kube_pod_owner:relabel', relation, 1);
}

function podUsage(world: World, pod: Pod, pods: Pod[], add: Add): void {
  const { name, namespace = '' } = pod.metadata;
  if (!world.isRunning(namespace, name)) return;
  for (const container of pod.spec.containers) {
    const labels = { job: 'kubelet', namespace, pod: name, container: container.name, node: pod.spec.nodeName ?? '' };
    add('container_memory_working_set_bytes', labels, world.workloads.memoryOf(pod, pods));
    const limit = container.resources?.limits?.memory;
    if (limit !== undefined) add('container_spec_memory_limit_bytes', labels, bytesOf(limit));
  }
}

function podRequests(world: World, pod: Pod, add: Add): void {
  const requests = world.workloads.requestsOf(pod);
  const app = world.workloads.appOf(pod);
  if (!requests || !app) return;
  const labels = { job: app.name, namespace: app.namespace, service: app.name, pod: pod.metadata.name };
  const ok = Math.floor(requests.ok);
  const failed = Math.floor(requests.failed);
  add('http_requests_total', { ...labels, method: 'GET', code: '200' }, ok);
  add('http_requests_total', { ...labels, method: 'GET', code: '500' }, failed);
  for (const [le, count] of latencyBuckets(ok + failed)) {
    add('http_request_duration_seconds_bucket', { ...labels, le }, count);
  }
  add('http_request_duration_seconds_count', labels, ok + failed);
  add('http_request_duration_seconds_sum', labels, requests.seconds);
}

/** Upper bounds in seconds of vLLM's and the projector's buckets, and the share of events that stay under them when all is well. */
const VLLM_LATENCY = [
  ['0.5', 0.04],
  ['1', 0.3],
  ['2.5', 0.86],
  ['5', 0.982],
  ['10', 0.999],
  ['+Inf', 1],
] as const;
const DELIVERY = [
  ['0.25', 0.8],
  ['0.5', 0.95],
  ['1', 0.985],
  ['2', 0.996],
  ['5', 1],
  ['+Inf', 1],
] as const;

/** As Cilium sees the answers of an app, and what two of the apps measure themselves. */
function appAnswers(world: World, app: App, add: Add): void {
  const { ok, failed, late } = world.workloads.answersOf(app);
  const seen = {
    job: 'hubble',
    reporter: 'server',
    protocol: 'HTTP/1.1',
    method: 'GET',
    destination_namespace: app.namespace,
    destination_workload: app.name,
  };
  add('hubble_http_requests_total', { ...seen, status: '200' }, Math.floor(ok));
  add('hubble_http_requests_total', { ...seen, status: '500' }, Math.floor(failed));
  const own = { job: app.name, namespace: app.namespace };
  if (app.name === 'vllm')
    histogram('vllm:e2e_request_latency_seconds', { ...own, model_name: 'mistral' }, VLLM_LATENCY, ok);
  if (app.name === 'projector')
    histogram('catalyst_projector_sse_delivery_seconds', { ...own, stream: 'workloads' }, DELIVERY, ok - late);

  /** @param intime events that went as usual; all others took longer than every bound */
  function histogram(
    name: string,
    labels: Labels,
    shares: readonly (readonly [string, number])[],
    intime: number,
  ): void {
    for (const [le, share] of shares)
      add(`${name}_bucket`, { ...labels, le }, Math.floor(le === '+Inf' ? ok : intime * share));
    add(`${name}_count`, labels, Math.floor(ok));
  }
}

function workloadState(world: World, add: Add): void {
  const { store } = world;
  for (const object of store.list(store.types.ofKind('apps/v1', 'Deployment'))) {
    const { metadata, spec, status } = object as Workload;
    const labels = { ...KUBE_STATE, namespace: metadata.namespace ?? '', deployment: metadata.name };
    add('kube_deployment_spec_replicas', labels, spec.replicas);
    add('kube_deployment_status_replicas', labels, status.replicas ?? 0);
    add('kube_deployment_status_replicas_available', labels, status.availableReplicas ?? 0);
    add('kube_deployment_status_replicas_updated', labels, status.updatedReplicas ?? 0);
  }
  for (const object of store.list(store.types.ofKind('apps/v1', 'StatefulSet'))) {
    const { metadata, spec, status } = object as Workload;
    const labels = { ...KUBE_STATE, namespace: metadata.namespace ?? '', statefulset: metadata.name };
    add('kube_statefulset_replicas', labels, spec.replicas);
    add('kube_statefulset_status_replicas_ready', labels, status.readyReplicas ?? 0);
  }
}

function baoState(world: World, add: Add): void {
  for (const node of world.bao.nodes) {
    const isRunning = world.isRunning('openbao', node.name);
    const labels = { job: 'openbao', namespace: 'openbao', pod: node.name };
    add('up', labels, isRunning ? 1 : 0);
    if (!isRunning) continue;
    add('vault_core_unsealed', labels, node.sealed ? 0 : 1);
    add('vault_core_active', labels, world.bao.leader === node ? 1 : 0);
  }
}
