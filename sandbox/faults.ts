/** What can be broken in the little world, and how it looks when it is whole again. */
import { isReady } from './controllers/context.ts';
import { bytesOf } from './workloads.ts';
import type { World } from './world.ts';

export interface Fault {
  title: string;
  /** Where the handbook speaks of it. */
  section: string;
  /** The alert that follows. */
  alert: string;
  breaks: string;
  /** The one action that repairs it. */
  repair: string;
  inject(world: World): void;
  isHealthy(world: World): boolean;
}

const CHECKOUT = { namespace: 'shop-prod', name: 'checkout' };
const CATALOG = { namespace: 'shop-prod', name: 'catalog' };
const PROJECTOR = { namespace: 'catalyst-system', name: 'projector' };
/** Above the 90 % of the alert, below what kills a container. */
const BUSY = 0.94;
const TOO_MUCH = 0.9;
/** With a broken release two requests in five fail. */
const BROKEN_RATIO = 0.4;

function allReady(world: World, { namespace, name }: { namespace: string; name: string }): boolean {
  const ready = world.podsOf(namespace, name).filter(isReady).length;
  return ready > 0 && ready === world.deployment(namespace, name).spec.replicas;
}

function memoryShare(world: World, { namespace, name }: { namespace: string; name: string }): number {
  const pods = world.podsOf(namespace, name);
  const shares = pods.map((pod) => {
    const limit = pod.spec.containers[0]?.resources?.limits?.memory ?? '0';
    return world.workloads.memoryOf(pod, world.pods()) / bytesOf(limit);
  });
  return Math.max(0, ...shares);
}

const openBaoSealed: Fault = {
  title: 'OpenBao restarts sealed',
  section: '§4.2, §13.2, §14',
  alert: 'OpenBaoSealed',
  breaks: 'All three OpenBao servers are sealed, as after a power cut: their pods run but are not ready.',
  repair: 'Give each pod three of the five key shares.',
  inject: (world) => {
    for (const node of world.bao.nodes) node.seal();
  },
  isHealthy: (world) =>
    world.bao.nodes.every((node) => !node.sealed) && world.podsOf('openbao', 'openbao').filter(isReady).length === 3,
};

const podCrashLoop: Fault = {
  title: 'A projector pod crash-loops',
  section: '§4.2',
  alert: 'PodCrashLoopBackOff',
  breaks: "One pod's local state is corrupt; its container exits as soon as it starts, however often it is restarted.",
  repair: 'Delete that pod; the one the ReplicaSet puts in its place starts clean.',
  inject: (world) => {
    const [pod] = world.podsOf(PROJECTOR.namespace, PROJECTOR.name).filter(isReady);
    if (!pod) throw new Error('no projector pod is ready: nothing to break');
    world.workloads.brokenPods.add(pod.metadata.uid);
  },
  isHealthy: (world) =>
    allReady(world, PROJECTOR) && !world.pods().some((pod) => world.workloads.brokenPods.has(pod.metadata.uid)),
};

const highErrorRate: Fault = {
  title: 'A release of checkout answers with errors',
  section: '§4.2',
  alert: 'HighErrorRate',
  breaks: 'A new release of checkout is rolled out; two in five of its answers are errors, however many pods it has.',
  repair: "Roll the Deployment back to the previous ReplicaSet's template.",
  inject: (world) => {
    const version = `1.9.${world.workloads.brokenImages.size}`;
    const image = `harbor.example/acme/checkout:${version}`;
    world.workloads.brokenImages.set(image, BROKEN_RATIO);
    world.release(CHECKOUT.namespace, CHECKOUT.name, image, `release ${version}`);
  },
  isHealthy: (world) => {
    const pods = world.podsOf(CHECKOUT.namespace, CHECKOUT.name);
    const isBroken = (image: string | undefined) => world.workloads.brokenImages.has(image ?? '');
    return allReady(world, CHECKOUT) && !pods.some((pod) => isBroken(pod.spec.containers[0]?.image));
  },
};

const highMemory: Fault = {
  title: 'Catalog runs out of memory',
  section: '§4.2, §4.3',
  alert: 'HighMemoryUsage',
  breaks: 'Catalog has to hold more than its pods have room for: each is at 94 % of its memory limit.',
  repair: 'Scale the Deployment up; the same load is shared by more pods.',
  inject: (world) => {
    const app = world.workloads.appOf(world.podsOf(CATALOG.namespace, CATALOG.name)[0] ?? never());
    if (!app) throw new Error('catalog is not one of the apps');
    const pods = world.workloads.ready(app, world.pods()).length;
    const load = (bytesOf(app.memoryLimit) * BUSY - app.memoryBase) * Math.max(1, pods);
    world.workloads.load.set(`${CATALOG.namespace}/${CATALOG.name}`, load);
  },
  isHealthy: (world) => allReady(world, CATALOG) && memoryShare(world, CATALOG) < TOO_MUCH,
};

function never(): never {
  throw new Error('no catalog pod exists: nothing to break');
}

/** All faults, by name. */
export const FAULTS = {
  'openbao-sealed': openBaoSealed,
  'pod-crash-loop': podCrashLoop,
  'high-error-rate': highErrorRate,
  'high-memory': highMemory,
} satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;
