/** The least an account needs: each action and fact says its rules, and a set of them becomes a ClusterRole. */

export interface PolicyRule {
  apiGroup: string;
  resources: readonly string[];
  verbs: readonly string[];
}

/** A definition together with what the API server must allow for it. */
export interface Ruled<Definition> {
  definition: Definition;
  rules: readonly PolicyRule[];
  /** What is needed on each kind that a call names: which kinds, only the runbooks tell. */
  rulesOnNamed?: (named: NamedResource) => readonly PolicyRule[];
}

export interface NamedResource {
  apiGroup: string;
  /** Plural: `deployments`. */
  resource: string;
}

/** A definition by name, and for one that takes any kind the resources it is used on. */
export type Wanted = string | { name: string; resources: readonly NamedResource[] };

export const rule = (apiGroup: string, resources: string | readonly string[], ...verbs: string[]): PolicyRule => ({
  apiGroup,
  resources: typeof resources === 'string' ? [resources] : resources,
  verbs,
});

/** The same verbs on every kind that is named. */
export const onNamed =
  (...verbs: string[]) =>
  ({ apiGroup, resource }: NamedResource): readonly PolicyRule[] => [rule(apiGroup, resource, ...verbs)];

/** Reading and changing the workloads an action can name. */
export const workloadWrites = (...plurals: string[]): readonly PolicyRule[] => [rule('apps', plurals, 'get', 'patch')];

/**
 * The ClusterRole for the definitions whose names are given, as YAML. The same names give the same bytes, whatever
 * their order. A name that is not known throws, so that a typing error never becomes a role that lacks something; so does
 * one that takes any kind without resources, since a wildcard would let it read Secrets.
 */
export function renderClusterRole(
  name: string,
  definitions: readonly Ruled<{ name: string }>[],
  wanted: readonly Wanted[],
): string {
  const verbs = new Map<string, Set<string>>();
  for (const { apiGroup, resources, verbs: needed } of wanted.flatMap((one) => rulesOf(definitions, one))) {
    for (const resource of resources) {
      const key = `${apiGroup}/${resource}`;
      verbs.set(key, new Set([...(verbs.get(key) ?? []), ...needed]));
    }
  }
  return renderRole(name, groupByVerbs(verbs));
}

function rulesOf(definitions: readonly Ruled<{ name: string }>[], wanted: Wanted): readonly PolicyRule[] {
  const { name, resources } = typeof wanted === 'string' ? { name: wanted, resources: [] } : wanted;
  const found = definitions.find(({ definition }) => definition.name === name);
  if (found === undefined) throw new Error(`no action or fact of Kubernetes is called "${name}"`);
  const { rules, rulesOnNamed } = found;
  if (rulesOnNamed === undefined) return rules;
  if (resources.length === 0) throw new Error(`"${name}" takes any kind: say for which resources the role is`);
  return [...rules, ...resources.flatMap(rulesOnNamed)];
}

interface RenderedRule {
  apiGroup: string;
  resources: string[];
  verbs: string[];
}

/** One rule for all resources of a group that need the same verbs, in the order of group and first resource. */
function groupByVerbs(verbs: ReadonlyMap<string, ReadonlySet<string>>): RenderedRule[] {
  const rules = new Map<string, RenderedRule>();
  for (const [key, needed] of [...verbs].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const apiGroup = key.slice(0, key.indexOf('/'));
    const resource = key.slice(key.indexOf('/') + 1);
    const sorted = [...needed].sort();
    const id = `${apiGroup}:${sorted.join()}`;
    const existing = rules.get(id);
    if (existing === undefined) rules.set(id, { apiGroup, resources: [resource], verbs: sorted });
    else existing.resources.push(resource);
  }
  return [...rules.values()];
}

function renderRole(name: string, rules: readonly RenderedRule[]): string {
  const lines = ['apiVersion: rbac.authorization.k8s.io/v1', 'kind: ClusterRole', 'metadata:', `  name: ${name}`];
  lines.push(rules.length === 0 ? 'rules: []' : 'rules:');
  for (const { apiGroup, resources, verbs } of rules) {
    lines.push(
      `  - apiGroups: ["${apiGroup}"]`,
      `    resources: [${quoted(resources)}]`,
      `    verbs: [${quoted(verbs)}]`,
    );
  }
  return `${lines.join('\n')}\n`;
}

const quoted = (words: readonly string[]): string => words.map((word) => `"${word}"`).join(', ');
