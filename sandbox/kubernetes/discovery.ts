/** What the API tells clients about itself: groups, versions, resources. */
import type { ResourceType, ResourceTypes } from './resources.ts';
import { apiVersionOf } from './resources.ts';
import { noSuchPath } from './status.ts';

/** The version the sandbox says it is: what it imitates, no more. */
export const SERVER_VERSION = {
  major: '1',
  minor: '34',
  gitVersion: 'v1.34.2',
  gitCommit: '0000000000000000000000000000000000000000',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'go1.24.9',
  compiler: 'gc',
  platform: 'linux/amd64',
};

const READ_VERBS = ['get', 'list', 'watch'];
const WRITE_VERBS = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const SERVER_ADDRESSES = [{ clientCIDR: '0.0.0.0/0', serverAddress: '127.0.0.1' }];

function resourceEntries(type: ResourceType): Record<string, unknown>[] {
  const { plural, singular, namespaced, kind, shortNames } = type;
  const verbs = type.virtual ? ['get', 'list'] : [...WRITE_VERBS, ...READ_VERBS].sort();
  const main = {
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
  };
  const subresources = type.subresources.toSorted().map((name) => ({
    name: `${plural}/${name}`,
    singularName: '',
    namespaced,
    ...(name === 'scale' ? { group: 'autoscaling', version: 'v1', kind: 'Scale' } : { kind }),
    verbs: ['get', 'patch', 'update'],
  }));
  return [main, ...subresources];
}

function groupOf(types: readonly ResourceType[], name: string) {
  const versions = [...new Set(types.filter((type) => type.group === name).map((type) => type.version))].map(
    (version) => ({ groupVersion: `${name}/${version}`, version }),
  );
  return { name, versions, preferredVersion: versions[0] };
}

/** The answer to a discovery path given in its parts, or undefined when it is none. */
export function discover(types: ResourceTypes, parts: string[]): Record<string, unknown> | undefined {
  const [root, first, second] = parts;
  const all = types.all();
  if (root === 'api') {
    if (parts.length === 1) {
      return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: SERVER_ADDRESSES };
    }
    return parts.length === 2 && first === 'v1' ? resourceList(all, 'v1') : undefined;
  }
  if (root !== 'apis') return undefined;
  const groups = [...new Set(all.map((type) => type.group))].filter((name) => name !== '');
  if (parts.length === 1) {
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map((name) => groupOf(all, name)) };
  }
  if (parts.length === 2 && first !== undefined) {
    if (!groups.includes(first)) throw noSuchPath();
    return { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(all, first) };
  }
  return parts.length === 3 ? resourceList(all, `${first}/${second}`) : undefined;
}

function resourceList(all: readonly ResourceType[], groupVersion: string): Record<string, unknown> {
  const types = all.filter((type) => apiVersionOf(type) === groupVersion);
  if (types.length === 0) throw noSuchPath();
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: types.flatMap(resourceEntries) };
}
