/** The kubelet (and the scheduler): takes pods through their lives, from pending over running and crashing to gone. */
import { createHash } from 'node:crypto';
import type { Condition, Container, ContainerStatus, Pod, Tree } from '../kubernetes/object.ts';
import { kubeTime, sameJson } from '../kubernetes/object.ts';
import { type Context, hasEnded, recordEvent } from './context.ts';

/** Why a container ends. */
export interface Exit {
  exitCode: number;
  reason: 'Completed' | 'Error' | 'OOMKilled';
}

/** What the programs inside the containers do; the world knows, the kubelet only watches. */
export interface Programs {
  /** How the container would end at this moment, if it does. */
  exitOf(pod: Pod): Exit | undefined;
  /** What the readiness probe says of a pod that has had time to start. */
  answersProbe(pod: Pod): boolean;
  started(pod: Pod): void;
}

/** What happened to a pod so far; times in milliseconds. */
export interface PodLife {
  bornAt: number;
  runningSince?: number;
  stoppingSince?: number;
  restarts: number;
  backoffMs: number;
  /** Not to be started again before. */
  waitingUntil?: number;
  lastExit?: Exit & { startedAt: number; finishedAt: number };
}

const KUBELET = { manager: 'kubelet' };
const KUBELET_STATUS = { manager: 'kubelet', subresource: 'status' as const };

export class Kubelet {
  readonly #context: Context;
  readonly #programs: Programs;
  readonly #nodes: string[];
  readonly #lives = new Map<string, PodLife>();
  #scheduled = 0;

  constructor(context: Context, programs: Programs, nodes: string[]) {
    this.#context = context;
    this.#programs = programs;
    this.#nodes = nodes;
  }

  lifeOf(pod: Pod): PodLife | undefined {
    return this.#lives.get(pod.metadata.uid);
  }

  /** One look at every pod. */
  sync(): void {
    const { store } = this.#context;
    const pods = store.list(store.types.ofKind('v1', 'Pod')) as Pod[];
    const alive = new Set(pods.map((pod) => pod.metadata.uid));
    for (const uid of this.#lives.keys()) if (!alive.has(uid)) this.#lives.delete(uid);
    for (const pod of pods) this.#syncPod(pod);
  }

  #syncPod(pod: Pod): void {
    const { store, pace, now } = this.#context;
    const type = store.types.ofKind('v1', 'Pod');
    const life = this.#lives.get(pod.metadata.uid) ?? { bornAt: now(), restarts: 0, backoffMs: pace.backoffMs };
    this.#lives.set(pod.metadata.uid, life);
    if (pod.metadata.deletionTimestamp !== undefined) {
      life.stoppingSince ??= now();
      if (now() - life.stoppingSince >= pace.podStopMs) {
        store.delete(type, pod.metadata.namespace, pod.metadata.name, { gracePeriodSeconds: 0 });
        return;
      }
    }
    if (hasEnded(pod)) return;
    if (pod.spec.nodeName === undefined) this.#schedule(pod);
    if (life.stoppingSince === undefined) this.#run(pod, life);
    const status = this.#statusOf(pod, life);
    if (sameJson(status, pod.status)) return;
    store.edit<Pod>(type, pod, KUBELET_STATUS, (draft) => {
      draft.status = status;
    });
  }

  #schedule(pod: Pod): void {
    const { store } = this.#context;
    const node = this.#nodes[this.#scheduled++ % this.#nodes.length] ?? 'node';
    store.edit<Pod>(store.types.ofKind('v1', 'Pod'), pod, KUBELET, (draft) => {
      draft.spec.nodeName = node;
    });
    const message = `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${node}`;
    recordEvent(this.#context, pod, 'Normal', 'Scheduled', message, 'default-scheduler');
  }

  #run(pod: Pod, life: PodLife): void {
    const { pace, now } = this.#context;
    const at = now();
    if (life.runningSince === undefined) {
      const isDue = life.waitingUntil === undefined ? at - life.bornAt >= pace.podStartMs : at >= life.waitingUntil;
      if (!isDue) return;
      if (life.waitingUntil !== undefined) life.restarts += 1;
      delete life.waitingUntil;
      life.runningSince = at;
      this.#programs.started(pod);
    }
    const exit = this.#programs.exitOf(pod);
    if (!exit) return;
    life.lastExit = { ...exit, startedAt: life.runningSince, finishedAt: at };
    delete life.runningSince;
    if (pod.spec.restartPolicy !== 'Always') return;
    // The first restart comes at once; then the pauses begin, and double.
    life.waitingUntil = life.restarts === 0 ? at : at + life.backoffMs;
    if (life.restarts > 0) life.backoffMs = Math.min(life.backoffMs * 2, pace.backoffMaxMs);
    const container = pod.spec.containers[0]?.name ?? '';
    if (exit.reason === 'OOMKilled') {
      recordEvent(
        this.#context,
        pod,
        'Warning',
        'OOMKilling',
        `Memory cgroup out of memory: killed ${container}`,
        'kubelet',
      );
    }
    const message = `Back-off restarting failed container ${container} in pod ${pod.metadata.name}`;
    recordEvent(this.#context, pod, 'Warning', 'BackOff', message, 'kubelet');
  }

  #statusOf(pod: Pod, life: PodLife): Pod['status'] {
    const { pace, now } = this.#context;
    const ended = life.lastExit && life.runningSince === undefined && pod.spec.restartPolicy !== 'Always';
    const isUp = life.runningSince !== undefined && now() - life.runningSince >= pace.podReadyMs;
    const isReady = isUp && life.stoppingSince === undefined && this.#programs.answersProbe(pod);
    const hasRun = life.runningSince !== undefined || life.lastExit !== undefined;
    const phase = ended ? (life.lastExit?.exitCode === 0 ? 'Succeeded' : 'Failed') : hasRun ? 'Running' : 'Pending';
    const seed = createHash('sha256').update(pod.metadata.uid).digest();
    return {
      phase,
      conditions: this.#conditions(pod, isReady, ended ? 'PodCompleted' : 'ContainersNotReady'),
      hostIP: `10.0.0.${10 + ((seed[0] ?? 0) % 3)}`,
      ...(hasRun ? { podIP: `10.42.${seed[1]}.${seed[2]}` } : {}),
      startTime: kubeTime(life.bornAt),
      containerStatuses: pod.spec.containers.map((container) => containerStatus(pod, container, life, isReady)),
    };
  }

  #conditions(pod: Pod, isReady: boolean, reason: string): Condition[] {
    const time = kubeTime(this.#context.now());
    const unready = pod.spec.containers.map((container) => container.name).join(' ');
    const condition = (type: string, holds: boolean): Condition => {
      const status = holds ? 'True' : 'False';
      const before = pod.status.conditions?.find((candidate) => candidate.type === type);
      return {
        type,
        status,
        lastTransitionTime: before?.status === status ? (before.lastTransitionTime ?? time) : time,
        ...(holds ? {} : { reason, message: `containers with unready status: [${unready}]` }),
      };
    };
    return [
      condition('PodScheduled', true),
      condition('Initialized', true),
      condition('ContainersReady', isReady),
      condition('Ready', isReady),
    ];
  }
}

function containerStatus(pod: Pod, container: Container, life: PodLife, ready: boolean): ContainerStatus {
  const containerID = (run: number) =>
    `containerd://${createHash('sha256').update(`${pod.metadata.uid}/${container.name}/${run}`).digest('hex')}`;
  const { lastExit } = life;
  const terminated = lastExit && {
    exitCode: lastExit.exitCode,
    reason: lastExit.reason,
    startedAt: kubeTime(lastExit.startedAt),
    finishedAt: kubeTime(lastExit.finishedAt),
    containerID: containerID(life.restarts),
  };
  let state: Tree = { waiting: { reason: 'ContainerCreating' } };
  if (life.runningSince !== undefined) state = { running: { startedAt: kubeTime(life.runningSince) } };
  else if (life.waitingUntil !== undefined) {
    const message =
      `back-off restarting failed container=${container.name} pod=${pod.metadata.name}_${pod.metadata.namespace}` +
      `(${pod.metadata.uid})`;
    state = { waiting: { reason: 'CrashLoopBackOff', message } };
  } else if (terminated) state = { terminated };
  return {
    name: container.name,
    image: container.image,
    imageID: `sha256:${createHash('sha256').update(container.image).digest('hex')}`,
    containerID: containerID(life.restarts),
    ready,
    started: life.runningSince !== undefined,
    restartCount: life.restarts,
    state,
    lastState: terminated && !('terminated' in state) ? { terminated } : {},
  };
}
