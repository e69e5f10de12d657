/** CustomResourceDefinitions: which kinds one of them adds, and the status it gets once it is served. */
import type { KubeObject } from './object.ts';
import type { ResourceType } from './resources.ts';

interface DefinitionSpec {
  group: string;
  scope: 'Namespaced' | 'Cluster';
  names: { kind: string; plural: string; singular?: string; shortNames?: string[]; listKind?: string };
  versions: { name: string; served: boolean; storage: boolean; subresources?: { status?: unknown; scale?: unknown } }[];
}

/** The kinds, one per served version. */
export function definedTypes(definition: KubeObject): ResourceType[] {
  const { group, scope, names, versions } = definition.spec as DefinitionSpec;
  return versions
    .filter((version) => version.served)
    .map((version) => ({
      group,
      version: version.name,
      kind: names.kind,
      plural: names.plural,
      singular: names.singular ?? names.kind.toLowerCase(),
      shortNames: names.shortNames ?? [],
      namespaced: scope === 'Namespaced',
      subresources: version.subresources?.status === undefined ? [] : ['status'],
      counted: true,
      definition: definition.metadata.name,
    }));
}

/** Sets, in place, the status of a definition that is served. */
export function establish(definition: KubeObject, time: string): void {
  const { names, versions } = definition.spec as DefinitionSpec;
  const accepted = { singular: names.kind.toLowerCase(), listKind: `${names.kind}List`, ...names };
  const condition = (type: string, reason: string, message: string) => ({
    type,
    status: 'True',
    reason,
    message,
    lastTransitionTime: time,
  });
  definition.status = {
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
    acceptedNames: accepted,
    storedVersions: versions.filter((version) => version.storage).map((version) => version.name),
  };
}
