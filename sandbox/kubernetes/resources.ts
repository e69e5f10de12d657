/** Which kinds the API serves: the built-in ones, and those that CustomResourceDefinitions add. */

export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  namespaced: boolean;
  shortNames: string[];
  subresources: ('status' | 'scale')[];
  /** Whether the API counts changes of the specification in `metadata.generation`. */
  counted: boolean;
  /** Computed on each read and never stored (metrics.k8s.io). */
  virtual?: boolean;
  /** Name of the CustomResourceDefinition that declares it. */
  definition?: string;
}

/** `apps/v1`, or `v1` in the group without a name. */
export function apiVersionOf(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** Identifies a resource whatever its version: all versions of a kind share one storage. */
export function storageKey(type: Pick<ResourceType, 'group' | 'plural'>): string {
  return `${type.group}/${type.plural}`;
}

type Row = [
  group: string,
  version: string,
  kind: string,
  plural: string,
  scope: 'N' | 'C',
  flags: string,
  short?: string,
];

// Flags: s = has /status, x = has /scale, g = counts generations, v = virtual.
const BUILT_IN: Row[] = [
  ['', 'v1', 'ConfigMap', 'configmaps', 'N', '', 'cm'],
  ['', 'v1', 'Event', 'events', 'N', '', 'ev'],
  ['', 'v1', 'Namespace', 'namespaces', 'C', 's', 'ns'],
  ['', 'v1', 'Node', 'nodes', 'C', 's', 'no'],
  ['', 'v1', 'Pod', 'pods', 'N', 's', 'po'],
  ['', 'v1', 'Secret', 'secrets', 'N', ''],
  ['', 'v1', 'Service', 'services', 'N', 's', 'svc'],
  ['', 'v1', 'ServiceAccount', 'serviceaccounts', 'N', '', 'sa'],
  ['apps', 'v1', 'Deployment', 'deployments', 'N', 'sxg', 'deploy'],
  ['apps', 'v1', 'ReplicaSet', 'replicasets', 'N', 'sxg', 'rs'],
  ['apps', 'v1', 'StatefulSet', 'statefulsets', 'N', 'sxg', 'sts'],
  ['batch', 'v1', 'Job', 'jobs', 'N', 'sg'],
  ['coordination.k8s.io', 'v1', 'Lease', 'leases', 'N', ''],
  ['apiextensions.k8s.io', 'v1', 'CustomResourceDefinition', 'customresourcedefinitions', 'C', 'sg', 'crd'],
  ['metrics.k8s.io', 'v1beta1', 'PodMetrics', 'pods', 'N', 'v'],
];

function builtIn([group, version, kind, plural, scope, flags, short]: Row): ResourceType {
  const subresources: ResourceType['subresources'] = [];
  if (flags.includes('s')) subresources.push('status');
  if (flags.includes('x')) subresources.push('scale');
  return {
    group,
    version,
    kind,
    plural,
    singular: kind.toLowerCase(),
    namespaced: scope === 'N',
    shortNames: short === undefined ? [] : [short],
    subresources,
    counted: flags.includes('g'),
    ...(flags.includes('v') ? { virtual: true } : {}),
  };
}

/** The kinds served at the moment. */
export class ResourceTypes {
  #types: ResourceType[] = BUILT_IN.map(builtIn);

  all(): readonly ResourceType[] {
    return this.#types;
  }

  /** By the parts of a URL. */
  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.find((t) => t.group === group && t.version === version && t.plural === plural);
  }

  /** By apiVersion and kind; throws when the world itself asks for something that is not served. */
  ofKind(apiVersion: string, kind: string): ResourceType {
    const type = this.#types.find((t) => apiVersionOf(t) === apiVersion && t.kind === kind && !t.virtual);
    if (!type) throw new Error(`no resource serves ${apiVersion} ${kind}`);
    return type;
  }

  /** Puts the kinds of one definition in place of what it declared before. */
  define(definition: string, types: ResourceType[]): void {
    this.#types = [...this.#types.filter((t) => t.definition !== definition), ...types];
  }
}
