/** The Sovereign at the start: what runs where, how busy it is, and who pays for it. */
import type { KubeObject } from './kubernetes/object.ts';

const Mi = 1024 * 1024;

/** One program that runs in pods, and how it behaves when all is well. */
export interface App {
  namespace: string;
  name: string;
  image: string;
  /** The image before this one, so that there is a revision to look back at. */
  previousImage?: string;
  replicas: number;
  memoryLimit: string;
  /** Bytes one pod needs for itself, and bytes that all ready pods of the app share between them. */
  memoryBase: number;
  memoryShared: number;
  /** Of the app as a whole. */
  requestsPerSecond: number;
  /** Share of them that fail when all is well, where it is not the usual one. */
  usualErrorRatio?: number;
  /** Whether it is a StatefulSet; a Deployment otherwise. */
  stateful?: boolean;
}

export const ORGANIZATION_LABEL = 'catalyst.openova.io/organization';

/** Namespaces, and the Organization that owns them. */
export const NAMESPACES: Record<string, string | undefined> = {
  default: undefined,
  'kube-system': undefined,
  'catalyst-system': undefined,
  'catalyst-gitea': undefined,
  'catalyst-grafana': undefined,
  openbao: undefined,
  spire: undefined,
  cortex: 'acme',
  'shop-prod': 'acme',
};

export const NODES = ['hz-fsn-rtz-prod-1', 'hz-fsn-rtz-prod-2', 'hz-fsn-rtz-prod-gpu-1'];

export const BAO_PODS = ['openbao-0', 'openbao-1', 'openbao-2'];

const app = (namespace: string, name: string, rest: Partial<App> & Pick<App, 'image' | 'replicas'>): App => ({
  namespace,
  name,
  memoryLimit: '512Mi',
  memoryBase: 80 * Mi,
  memoryShared: 120 * Mi,
  requestsPerSecond: 0,
  ...rest,
});

export const APPS: App[] = [
  app('catalyst-system', 'console', {
    image: 'harbor.example/catalyst/console:2.4.1',
    previousImage: 'harbor.example/catalyst/console:2.4.0',
    replicas: 2,
    requestsPerSecond: 30,
    usualErrorRatio: 0.0003,
  }),
  app('catalyst-system', 'projector', {
    image: 'harbor.example/catalyst/projector:2.4.1',
    replicas: 2,
    requestsPerSecond: 10,
  }),
  app('catalyst-system', 'environment-controller', { image: 'harbor.example/catalyst/controllers:2.4.1', replicas: 1 }),
  app('catalyst-gitea', 'gitea', { image: 'gitea/gitea:1.25.2', replicas: 1, requestsPerSecond: 5 }),
  app('openbao', 'openbao', { image: 'quay.io/openbao/openbao:2.6.0', replicas: 3, stateful: true }),
  app('spire', 'spire-server', { image: 'ghcr.io/spiffe/spire-server:1.13.3', replicas: 1, stateful: true }),
  app('cortex', 'vllm', {
    image: 'vllm/vllm-openai:v0.11.2',
    replicas: 1,
    memoryLimit: '16Gi',
    memoryBase: 6_000 * Mi,
    memoryShared: 2_000 * Mi,
    requestsPerSecond: 4,
  }),
  app('shop-prod', 'checkout', {
    image: 'harbor.example/acme/checkout:1.8.2',
    previousImage: 'harbor.example/acme/checkout:1.8.1',
    replicas: 3,
    requestsPerSecond: 90,
  }),
  app('shop-prod', 'catalog', {
    image: 'harbor.example/acme/catalog:3.1.0',
    replicas: 2,
    memoryShared: 300 * Mi,
    requestsPerSecond: 120,
  }),
  app('shop-prod', 'pgbouncer', { image: 'bitnami/pgbouncer:1.24.1', replicas: 2 }),
];

export interface Budget {
  /** EUR a month: what may be spent, what is spent whatever runs, and what each pod adds. */
  limit: number;
  fixed: number;
  perPod: number;
}

/** With the eight pods that run at the start, acme spends 68 % of its budget. */
export const BUDGETS: Record<string, Budget> = { acme: { limit: 2_000, fixed: 400, perPod: 120 } };

type Draft = Record<string, unknown> & { metadata: Record<string, unknown> };

export function namespaceObject(name: string): Draft {
  const organization = NAMESPACES[name];
  const labels = {
    'kubernetes.io/metadata.name': name,
    ...(organization === undefined ? {} : { [ORGANIZATION_LABEL]: organization }),
  };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels }, status: { phase: 'Active' } };
}

export function nodeObject(name: string, time: string): Draft {
  const isGpu = name.includes('gpu');
  const capacity = { cpu: '16', memory: '64Gi', pods: '110', ...(isGpu ? { 'nvidia.com/gpu': '1' } : {}) };
  const gpuLabels = { 'node.kubernetes.io/gpu': 'true', 'nvidia.com/gpu.product': 'NVIDIA-A10' };
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'topology.kubernetes.io/region': 'hz-fsn',
        ...(isGpu ? gpuLabels : {}),
      },
    },
    spec: {},
    status: {
      capacity,
      allocatable: capacity,
      conditions: [{ ...ready, lastHeartbeatTime: time, lastTransitionTime: time }],
      nodeInfo: { kubeletVersion: 'v1.34.2', osImage: 'Debian GNU/Linux 12', architecture: 'amd64' },
    },
  };
}

/** The Deployment or StatefulSet of an app. */
export function workloadObject(app: App, image = app.image): KubeObject {
  const organization = NAMESPACES[app.namespace];
  const selector = { 'app.kubernetes.io/name': app.name };
  const labels = { ...selector, ...(organization === undefined ? {} : { [ORGANIZATION_LABEL]: organization }) };
  const container = {
    name: app.name,
    image,
    resources: {
      limits: { memory: app.memoryLimit },
      requests: { cpu: '100m', memory: app.memoryLimit },
    },
  };
  const ordered = { serviceName: `${app.name}-internal`, podManagementPolicy: 'Parallel' };
  const draft: unknown = {
    apiVersion: 'apps/v1',
    kind: app.stateful ? 'StatefulSet' : 'Deployment',
    metadata: { name: app.name, namespace: app.namespace, labels },
    spec: {
      replicas: app.replicas,
      selector: { matchLabels: selector },
      template: { metadata: { labels }, spec: { containers: [container] } },
      ...(app.stateful ? ordered : {}),
    },
  };
  return draft as KubeObject;
}
