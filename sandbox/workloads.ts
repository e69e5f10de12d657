/** What the programs in the pods do: the memory they take, the requests they answer, and how they break. */
import { isReady } from './controllers/context.ts';
import type { Exit, PodLife } from './controllers/kubelet.ts';
import type { Pod } from './kubernetes/object.ts';
import { APPS, type App } from './sovereign.ts';

/** One request in five hundred fails in the best of worlds. */
const USUAL_ERROR_RATIO = 0.002;

/** The share of its limit at which a program stops taking work. */
const FULL = 0.98;

/** Upper bounds in seconds, and the share of requests that stay under them. */
const LATENCY: readonly (readonly [bound: string, share: number])[] = [
  ['0.05', 0.4],
  ['0.1', 0.7],
  ['0.25', 0.92],
  ['0.5', 0.985],
  ['1', 0.997],
  ['2.5', 1],
  ['+Inf', 1],
];
/** Seconds an average request takes under that distribution. */
const MEAN_LATENCY = 0.11;

/** What an app answered since its newest release, whichever pod it was: how a network sees it. */
export interface Answers {
  ok: number;
  failed: number;
  /** Events that came late, because a pod that should have handled them was not there. */
  late: number;
}

/** Requests of one pod since it started. */
export interface Requests {
  ok: number;
  failed: number;
  seconds: number;
}

const UNITS: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, k: 1e3, M: 1e6, G: 1e9 };

/** Bytes of a Kubernetes quantity such as `512Mi`. */
export function bytesOf(quantity: string): number {
  const [, number = '0', unit = ''] = /^([\d.]+)([A-Za-z]*)$/.exec(quantity) ?? [];
  return Number(number) * (UNITS[unit] ?? 1);
}

/** The cumulative counts of a latency histogram over `count` requests. */
export function latencyBuckets(count: number): [bound: string, count: number][] {
  return LATENCY.map(([bound, share]) => [bound, Math.floor(count * share)]);
}

export class Workloads {
  /** Images whose release is broken, and the share of requests that fail with them. */
  readonly brokenImages = new Map<string, number>();
  /** Pods whose local state makes the container exit; they die with the pod. */
  readonly brokenPods = new Set<string>();
  /** Pods whose program takes more and more memory until the kernel ends it; they die with the pod. */
  readonly leakingPods = new Set<string>();
  /** Bytes an app has to hold instead of its usual shared memory, by `namespace/name`. */
  readonly load = new Map<string, number>();
  readonly #requests = new Map<string, Requests>();
  readonly #answers = new Map<App, Answers>();
  #lastTick: number | undefined;

  appOf(pod: Pod): App | undefined {
    const name = pod.metadata.labels?.['app.kubernetes.io/name'];
    return APPS.find((app) => app.namespace === pod.metadata.namespace && app.name === name);
  }

  answersOf(app: App): Answers {
    return this.#answers.get(app) ?? { ok: 0, failed: 0, late: 0 };
  }

  requestsOf(pod: Pod): Requests | undefined {
    return this.#requests.get(pod.metadata.uid);
  }

  /** The ready pods among which an app's work is shared. */
  ready(app: App, pods: readonly Pod[]): Pod[] {
    return pods.filter((pod) => this.appOf(pod) === app && isReady(pod));
  }

  /**
   * Working set of a pod in bytes. A pod that is not ready holds no share of the work; one that is nearly full takes no
   * more of it (it sheds load), so that only a leak is killed.
   */
  memoryOf(pod: Pod, pods: readonly Pod[]): number {
    const app = this.appOf(pod);
    if (!app) return bytesOf('20Mi');
    const shared = this.load.get(`${app.namespace}/${app.name}`) ?? app.memoryShared;
    const sharers = isReady(pod) ? this.ready(app, pods).length : 0;
    const limit = bytesOf(app.memoryLimit);
    if (isReady(pod) && this.leakingPods.has(pod.metadata.uid)) return limit + 1;
    return Math.round(Math.min(app.memoryBase + (sharers > 0 ? shared / sharers : 0), limit * FULL));
  }

  /** How the container of a pod would end now, if it does. */
  exitOf(pod: Pod, pods: readonly Pod[], life: PodLife | undefined, jobMs: number, now: number): Exit | undefined {
    if (this.brokenPods.has(pod.metadata.uid)) return { exitCode: 1, reason: 'Error' };
    const limit = pod.spec.containers[0]?.resources?.limits?.memory;
    if (limit !== undefined && this.memoryOf(pod, pods) > bytesOf(limit)) return { exitCode: 137, reason: 'OOMKilled' };
    const isTask = pod.spec.restartPolicy !== undefined && pod.spec.restartPolicy !== 'Always';
    if (!isTask || life?.runningSince === undefined || now - life.runningSince < jobMs) return undefined;
    return exitOfTask(pod);
  }

  /** Lets the time since the last call pass: requests arrive and are counted. */
  tick(now: number, pods: readonly Pod[]): void {
    const seconds = this.#lastTick === undefined ? 0 : Math.max(0, now - this.#lastTick) / 1000;
    this.#lastTick = now;
    if (seconds === 0) return;
    const alive = new Set(pods.map((pod) => pod.metadata.uid));
    for (const uid of this.#requests.keys()) if (!alive.has(uid)) this.#requests.delete(uid);
    for (const app of APPS) {
      if (app.requestsPerSecond === 0) continue;
      const ready = this.ready(app, pods);
      // What a missing pod would have handled is handled later, by the others.
      this.#answers.set(app, this.#after(app, ready, app.requestsPerSecond * seconds));
      for (const pod of ready) this.#serve(app, pod, (app.requestsPerSecond * seconds) / ready.length);
    }
  }

  #after(app: App, ready: readonly Pod[], count: number): Answers {
    const { ok, failed, late } = this.answersOf(app);
    if (ready.length === 0) return { ok, failed, late };
    const bad = ready.reduce((sum, pod) => sum + this.#errorRatio(app, pod), 0) / ready.length;
    const missing = Math.max(0, 1 - ready.length / app.replicas);
    return { ok: ok + count * (1 - bad), failed: failed + count * bad, late: late + count * missing };
  }

  #errorRatio(app: App, pod: Pod): number {
    return this.brokenImages.get(pod.spec.containers[0]?.image ?? '') ?? app.usualErrorRatio ?? USUAL_ERROR_RATIO;
  }

  #serve(app: App, pod: Pod, count: number): void {
    const requests = this.#requests.get(pod.metadata.uid) ?? { ok: 0, failed: 0, seconds: 0 };
    const ratio = this.#errorRatio(app, pod);
    requests.ok += count * (1 - ratio);
    requests.failed += count * ratio;
    requests.seconds += count * MEAN_LATENCY;
    this.#requests.set(pod.metadata.uid, requests);
  }
}

/** A task fails when its command says so: `false`, or a shell line with `exit` and a number. */
function exitOfTask(pod: Pod): Exit {
  const { command = [], args = [] } = (pod.spec.containers[0] ?? {}) as { command?: string[]; args?: string[] };
  const line = [...command, ...args].join(' ');
  const exitCode = line === 'false' ? 1 : Number(/\bexit (\d+)\b/.exec(line)?.[1] ?? 0);
  return exitCode === 0 ? { exitCode, reason: 'Completed' } : { exitCode, reason: 'Error' };
}
