/** What can be observed of a cluster. */
import { CatalystError } from '../../errors.ts';
import type { CallContext, FactDefinition, FactType, Json } from '../contract.ts';
import { isObject, reachable, textArgument } from '../define.ts';
import type { KubernetesApi } from './client.ts';
import type { Condition, KubernetesEvent, KubernetesObject, Pod, PodMetrics, Workload } from './objects.ts';
import {
  daemonSetFact,
  eventsFact,
  memoryOf,
  memoryRatio,
  nodeFact,
  podFact,
  podReady,
  workloadFact,
} from './observe.ts';
import { onNamed, type Ruled, rule } from './rbac.ts';

/** Events returned at most: what fits on a screen. */
const maxEvents = 20;

const parameter = (name: string, description: string) => ({ name, type: 'string' as FactType, description });
const namespace = parameter('namespace', 'Namespace.');
const nameOf = (what: string) => parameter('name', `Name of the ${what}.`);
const selector = parameter('selector', 'Label selector, e.g. app=web.');

const exampleWorkload: Json = {
  uid: '5f1c',
  replicas: 3,
  readyReplicas: 3,
  availableReplicas: 3,
  updatedReplicas: 3,
  generation: 7,
  observedGeneration: 7,
  image: 'registry.example/web:1.4.2',
  paused: false,
};

const examplePod: Json = {
  name: 'web-6d4cf56db6-x2x4q',
  uid: '8a20',
  phase: 'Running',
  ready: false,
  deleting: false,
  restarts: 4,
  waitingReason: 'CrashLoopBackOff',
  lastTerminationReason: 'OOMKilled',
  secondsSinceTermination: 42,
  node: 'node-1',
  owner: 'ReplicaSet/web-6d4cf56db6',
};

type Api = () => KubernetesApi;

export function kubernetesFacts(api: Api): readonly Ruled<FactDefinition>[] {
  return [
    {
      rules: [],
      definition: {
        name: 'kubernetes.reachable',
        description: 'Whether the API server answers.',
        returns: 'bool',
        example: true,
        read: (context) => reachable(() => api().version(context)),
      },
    },
    workload(api, 'deployment', 'Deployment', workloadFact),
    workload(api, 'statefulSet', 'StatefulSet', workloadFact),
    workload(api, 'daemonSet', 'DaemonSet', daemonSetFact),
    ...podFacts(api),
    ...memoryFacts(api),
    ...clusterFacts(api),
    ...objectFacts(api),
  ];
}

function workload(api: Api, name: string, kind: string, read: (object: Workload) => Json): Ruled<FactDefinition> {
  return {
    rules: [rule('apps', `${kind.toLowerCase()}s`, 'get')],
    definition: {
      name: `kubernetes.${name}`,
      description: `A ${kind}: how many replicas are wanted, ready, available and updated, its generations, its first container's image.`,
      parameters: [namespace, nameOf(kind)],
      returns: 'map<string, dyn>',
      example: exampleWorkload,
      read: async (context, args) => read(await api().get<Workload>(context, { kind, ...namespacedName(args) })),
    },
  };
}

function podFacts(api: Api): readonly Ruled<FactDefinition>[] {
  const pods = async (context: CallContext, args: readonly Json[]) => {
    const place = await api().place(context, 'Pod');
    const labelSelector = textArgument(args, 1, 'selector');
    return (await api().list<Pod>(context, place, textArgument(args, 0, 'namespace'), { labelSelector })).items;
  };
  const list = [rule('', 'pods', 'list')];
  return [
    {
      rules: [rule('', 'pods', 'get')],
      definition: {
        name: 'kubernetes.pod',
        description: 'A pod: phase, whether it is ready, restarts, why it waits and why it last ended.',
        parameters: [namespace, nameOf('pod')],
        returns: 'map<string, dyn>',
        example: examplePod,
        read: async (context, args) => {
          const pod = await api().get<Pod>(context, { kind: 'Pod', ...namespacedName(args) });
          return podFact(pod, context.clock.now());
        },
      },
    },
    {
      rules: list,
      definition: {
        name: 'kubernetes.pods',
        description: 'The pods a selector matches, each as kubernetes.pod gives it.',
        parameters: [namespace, selector],
        returns: 'list<dyn>',
        example: [examplePod],
        read: async (context, args) => (await pods(context, args)).map((pod) => podFact(pod, context.clock.now())),
      },
    },
    {
      rules: list,
      definition: {
        name: 'kubernetes.podsReady',
        description: 'How many pods of a selector are ready and not being deleted.',
        parameters: [namespace, selector],
        returns: 'int',
        example: 3,
        read: async (context, args) => (await pods(context, args)).filter(podReady).length,
      },
    },
  ];
}

function memoryFacts(api: Api): readonly Ruled<FactDefinition>[] {
  const read = async (context: CallContext, args: readonly Json[]) => {
    const place = { apiVersion: 'metrics.k8s.io/v1beta1', kind: 'PodMetrics', plural: 'pods', namespaced: true };
    const options = { labelSelector: textArgument(args, 1, 'selector') };
    const { items } = await api().list<PodMetrics>(context, place, textArgument(args, 0, 'namespace'), options);
    if (items.length > 0) return items;
    throw new CatalystError('NotFound', `the metrics server knows no pod with ${options.labelSelector}`, {
      hint: 'Check the selector; a pod has metrics about a minute after its start.',
    });
  };
  const metrics = rule('metrics.k8s.io', 'pods', 'list');
  return [
    {
      rules: [metrics],
      definition: {
        name: 'kubernetes.podMemory',
        description: 'Memory in bytes of the pod that uses most, among those of a selector. Needs the metrics server.',
        parameters: [namespace, selector],
        returns: 'int',
        example: 536870912,
        read: async (context, args) => Math.round(Math.max(...(await read(context, args)).map(memoryOf))),
      },
    },
    {
      rules: [metrics, rule('', 'pods', 'list')],
      definition: {
        name: 'kubernetes.podMemoryRatio',
        description:
          'Largest share of its memory limit that any container of a selector uses. Needs the metrics server.',
        parameters: [namespace, selector],
        returns: 'double',
        example: 0.62,
        async read(context, args) {
          const used = await read(context, args);
          const place = await api().place(context, 'Pod');
          const options = { labelSelector: textArgument(args, 1, 'selector') };
          const pods = await api().list<Pod>(context, place, textArgument(args, 0, 'namespace'), options);
          const ratio = memoryRatio(pods.items, used);
          if (ratio !== undefined) return ratio;
          throw new CatalystError('NotFound', `no container with ${options.labelSelector} has a memory limit`);
        },
      },
    },
  ];
}

function clusterFacts(api: Api): readonly Ruled<FactDefinition>[] {
  return [
    {
      rules: [rule('', 'nodes', 'get')],
      definition: {
        name: 'kubernetes.node',
        description: 'A node: whether it is ready and schedulable, and under which pressure it is.',
        parameters: [nameOf('node')],
        returns: 'map<string, dyn>',
        example: { ready: true, schedulable: true, pressure: [] },
        read: async (context, args) =>
          nodeFact(await api().get(context, { kind: 'Node', name: textArgument(args, 0, 'name') })),
      },
    },
    {
      rules: [rule('', 'events', 'list')],
      definition: {
        name: 'kubernetes.events',
        description: `The last ${maxEvents} events about an object, newest first.`,
        parameters: [namespace, nameOf('object')],
        returns: 'list<dyn>',
        example: [
          {
            at: '2026-01-05T12:00:00Z',
            type: 'Warning',
            reason: 'BackOff',
            message: 'Back-off restarting failed container',
            count: 7,
            kind: 'Pod',
          },
        ],
        async read(context, args) {
          const { namespace: space, name } = namespacedName(args);
          const place = await api().place(context, 'Event');
          const { items } = await api().list<KubernetesEvent>(context, place, space, {
            fieldSelector: `involvedObject.name=${name}`,
          });
          return eventsFact(items, maxEvents);
        },
      },
    },
  ];
}

/** Parameters that name an object of any kind. */
const identity = [
  parameter('apiVersion', 'API group and version, e.g. cert-manager.io/v1.'),
  parameter('kind', 'Kind; Secret is refused.'),
  parameter('namespace', 'Namespace; "-" for a kind without namespaces.'),
  parameter('name', 'Name.'),
];

async function namedObject(api: Api, context: CallContext, args: readonly Json[]): Promise<KubernetesObject> {
  const [apiVersion = '', kind = '', namespace = '', name = ''] = identity.map((one, index) =>
    textArgument(args, index, one.name),
  );
  if (kind === 'Secret') {
    throw new CatalystError('BadRequest', 'a Secret may not be read as a fact: its values would be on record');
  }
  return api().get<KubernetesObject>(context, { apiVersion, kind, name, ...(namespace === '-' ? {} : { namespace }) });
}

function objectFacts(api: Api): readonly Ruled<FactDefinition>[] {
  return [
    {
      rules: [],
      rulesOnNamed: onNamed('get'),
      definition: {
        name: 'kubernetes.object',
        description: 'Any object but a Secret, as the API returns it, without managedFields.',
        parameters: identity,
        returns: 'map<string, dyn>',
        example: { kind: 'Cluster', status: { currentPrimary: 'gitea-db-1' } },
        async read(context, args) {
          const whole = await namedObject(api, context, args);
          const { managedFields: _, ...metadata } = whole.metadata;
          return { ...whole, metadata } as unknown as Json;
        },
      },
    },
    {
      rules: [],
      rulesOnNamed: onNamed('get'),
      definition: {
        name: 'kubernetes.condition',
        description:
          'Status of a condition of any object: "True", "False" or "Unknown"; an error when the object has no such condition.',
        parameters: [...identity, parameter('type', 'Type of the condition, e.g. Ready.')],
        returns: 'string',
        example: 'True',
        async read(context, args) {
          const type = textArgument(args, identity.length, 'type');
          const conditions = (await namedObject(api, context, args)).status?.conditions;
          const found = Array.isArray(conditions)
            ? (conditions as Condition[]).find((one) => isObject(one) && one.type === type)
            : undefined;
          if (found !== undefined) return found.status;
          throw new CatalystError('NotFound', `${String(args[1])} ${String(args[3])} has no condition ${type}`);
        },
      },
    },
  ];
}

const namespacedName = (args: readonly Json[]) => ({
  namespace: textArgument(args, 0, 'namespace'),
  name: textArgument(args, 1, 'name'),
});
