/**
 * The little world all servers of the sandbox look at: a cluster whose controllers run, three OpenBao servers, SPIRE,
 * requests, memory and money. It moves in ticks; nothing in it touches a timer or a socket.
 */
import type { Clock } from '../src/clock.ts';
import { CONTROLLER, type Context, isReady } from './controllers/context.ts';
import { reconcileDeployments } from './controllers/deployments.ts';
import { collectGarbage } from './controllers/garbage.ts';
import { reconcileJobs } from './controllers/jobs.ts';
import { Kubelet } from './controllers/kubelet.ts';
import { reconcileReplicaSets } from './controllers/replica-sets.ts';
import { reconcileStatefulSets } from './controllers/stateful-sets.ts';
import { type KubeObject, kubeTime, type Pod, type Workload } from './kubernetes/object.ts';
import type { ResourceType } from './kubernetes/resources.ts';
import { Store } from './kubernetes/store.ts';
import { BaoCluster } from './openbao/cluster.ts';
import { type Pace, paceFor } from './pace.ts';
import {
  APPS,
  BAO_PODS,
  BUDGETS,
  NAMESPACES,
  NODES,
  namespaceObject,
  nodeObject,
  ORGANIZATION_LABEL,
  workloadObject,
} from './sovereign.ts';
import { Workloads } from './workloads.ts';

/** While the world is set up nothing takes time. */
const AT_ONCE = { podStartMs: 0, podReadyMs: 0, podStopMs: 0 };
/** More steps than the largest rollout of the start takes. */
const MAX_SETTLE_STEPS = 100;
/** How long ago the Sovereign was set up, and its newest releases rolled out. */
const SET_UP_MS = 26 * 3_600_000;
export const RELEASED_MS = 2 * 3_600_000;

export class World {
  readonly clock: Clock;
  readonly pace: Pace;
  readonly store: Store;
  readonly bao: BaoCluster;
  readonly workloads = new Workloads();
  /** SPIRE's own health, beyond whether its pod is ready. */
  readonly spire = { live: true, ready: true };
  readonly budgets = structuredClone(BUDGETS);
  readonly #context: Context;
  readonly #kubelet: Kubelet;
  /** How far the world lies in the past; only while it is set up. */
  #agoMs = SET_UP_MS;
  #collectedAt = 0;

  constructor(clock: Clock, speed = 1) {
    this.clock = clock;
    this.pace = paceFor(speed);
    const now = () => clock.now() - this.#agoMs;
    this.store = new Store(now);
    this.bao = new BaoCluster(BAO_PODS, now);
    this.#context = { store: this.store, pace: { ...this.pace, ...AT_ONCE }, now };
    const programs = {
      exitOf: (pod: Pod) => this.workloads.exitOf(pod, this.pods(), this.#kubelet.lifeOf(pod), this.pace.jobMs, now()),
      answersProbe: (pod: Pod) => this.#baoNode(pod)?.sealed !== true,
      // A process that starts anew knows no key.
      started: (pod: Pod) => this.#baoNode(pod)?.seal(),
    };
    this.#kubelet = new Kubelet(this.#context, programs, NODES);
    this.#populate();
    this.#context.pace = this.pace;
    this.#agoMs = 0;
    // Requests have been counted since the newest releases: the history that Prometheus knows.
    this.workloads.tick(clock.now() - RELEASED_MS, this.pods());
    this.workloads.tick(clock.now(), this.pods());
  }

  /** One step of everything that moves by itself. */
  tick(): void {
    this.#kubelet.sync();
    reconcileDeployments(this.#context);
    reconcileReplicaSets(this.#context);
    reconcileStatefulSets(this.#context);
    reconcileJobs(this.#context);
    // What one round deletes may leave garbage for the next; without any change there is none.
    const { version } = this.store;
    if (version !== this.#collectedAt) collectGarbage(this.#context);
    this.#collectedAt = version;
    if (this.#agoMs === 0) this.workloads.tick(this.clock.now(), this.pods());
  }

  pods(): Pod[] {
    return this.store.list(this.store.types.ofKind('v1', 'Pod')) as Pod[];
  }

  /** The pods of one app that are not being deleted. */
  podsOf(namespace: string, name: string): Pod[] {
    return this.pods().filter(
      ({ metadata }) =>
        metadata.namespace === namespace &&
        metadata.labels?.['app.kubernetes.io/name'] === name &&
        metadata.deletionTimestamp === undefined,
    );
  }

  deployment(namespace: string, name: string): Workload {
    return this.store.get(this.store.types.ofKind('apps/v1', 'Deployment'), namespace, name) as Workload;
  }

  /** Changes a Deployment as a release pipeline would: through the API, under its own field manager. */
  release(namespace: string, name: string, image: string, cause: string): void {
    const type = this.store.types.ofKind('apps/v1', 'Deployment');
    this.store.edit<Workload>(type, this.deployment(namespace, name), { manager: 'flux' }, (draft) => {
      const [container] = draft.spec.template.spec.containers;
      if (container) container.image = image;
      draft.metadata.annotations = { ...draft.metadata.annotations, 'kubernetes.io/change-cause': cause };
    });
  }

  /** The Organization a namespace belongs to. */
  organizationOf(namespace: string): string | undefined {
    const type = this.store.types.ofKind('v1', 'Namespace');
    return this.store.find(type, undefined, namespace)?.metadata.labels?.[ORGANIZATION_LABEL];
  }

  /** Projected spending of an Organization over its monthly budget: 1 is all of it. */
  spendRatio(organization: string): number {
    const budget = this.budgets[organization];
    if (!budget) return 0;
    const pods = this.pods().filter((pod) => this.organizationOf(pod.metadata.namespace ?? '') === organization);
    return (budget.fixed + budget.perPod * pods.length) / budget.limit;
  }

  isSpireReady(): boolean {
    return this.spire.ready && this.podsOf('spire', 'spire-server').some(isReady);
  }

  /** Whether the process in a pod of this name runs, ready or not. */
  isRunning(namespace: string, name: string): boolean {
    const pod = this.store.find(this.store.types.ofKind('v1', 'Pod'), namespace, name) as Pod | undefined;
    return pod !== undefined && this.#kubelet.lifeOf(pod)?.runningSince !== undefined;
  }

  /** `metrics.k8s.io`: what the metrics server would say. */
  podMetrics(_type: ResourceType, namespace: string | undefined): KubeObject[] {
    const pods = this.pods();
    return pods
      .filter((pod) => namespace === undefined || pod.metadata.namespace === namespace)
      .filter((pod) => this.#kubelet.lifeOf(pod)?.runningSince !== undefined)
      .map((pod) => {
        const usage = { cpu: '25m', memory: `${Math.round(this.workloads.memoryOf(pod, pods) / 1024)}Ki` };
        const object: unknown = {
          apiVersion: 'metrics.k8s.io/v1beta1',
          kind: 'PodMetrics',
          metadata: {
            name: pod.metadata.name,
            namespace: pod.metadata.namespace,
            labels: pod.metadata.labels,
            creationTimestamp: kubeTime(this.clock.now()),
          },
          timestamp: kubeTime(this.clock.now()),
          window: '15s',
          containers: pod.spec.containers.map((container) => ({ name: container.name, usage })),
        };
        return object as KubeObject;
      });
  }

  podLog(pod: KubeObject): string {
    const life = this.#kubelet.lifeOf(pod as Pod);
    if (!life) return '';
    const at = (time: number) => new Date(time).toISOString();
    const lines = [`${at(life.bornAt)} starting ${pod.metadata.name}`];
    if (life.lastExit) {
      const { exitCode, reason, finishedAt } = life.lastExit;
      lines.push(
        `${at(finishedAt)} ${reason === 'OOMKilled' ? 'killed' : 'fatal: cannot read the local state'} (${exitCode})`,
      );
    }
    return `${lines.join('\n')}\n`;
  }

  #baoNode(pod: Pod) {
    return pod.metadata.namespace === 'openbao' ? this.bao.node(pod.metadata.name) : undefined;
  }

  #populate(): void {
    const { store } = this;
    const create = (object: unknown) => {
      const draft = object as KubeObject;
      store.create(store.types.ofKind(draft.apiVersion, draft.kind), draft, { manager: 'flux' });
    };
    for (const name of Object.keys(NAMESPACES)) create(namespaceObject(name));
    for (const name of NODES) this.#createNode(name);
    for (const app of APPS) create(workloadObject(app, app.previousImage));
    this.#settle();
    this.#agoMs = RELEASED_MS;
    for (const app of APPS) {
      if (app.previousImage) this.release(app.namespace, app.name, app.image, `release ${app.image.split(':').at(-1)}`);
    }
    this.#settle();
    this.bao.unsealAll();
    this.#settle();
  }

  #settle(): void {
    for (let step = 0, before = 0; step < MAX_SETTLE_STEPS && this.store.version !== before; step++) {
      before = this.store.version;
      this.tick();
    }
  }

  #createNode(name: string): void {
    const type = this.store.types.ofKind('v1', 'Node');
    const draft: unknown = nodeObject(name, kubeTime(this.#context.now()));
    const node = this.store.create(type, draft as KubeObject, CONTROLLER);
    this.store.edit(type, node, { manager: 'kubelet', subresource: 'status' }, (edited) => {
      edited.status = (draft as KubeObject).status;
    });
  }
}
