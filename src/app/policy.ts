/** What the configuration says about who may do what by itself, and whose a namespace is. Pure. */
import type { Catalog } from '../catalog/catalog.ts';
import type { Mode } from '../catalog/kinds/runbook.ts';
import { matchRunbooks } from '../catalog/match.ts';
import type { DispatchPorts } from '../run/dispatch.ts';
import { strictestMode } from '../run/prepare.ts';
import type { Config } from './config.ts';

export type Policy = (organization: string | undefined) => { mode: Mode; defaultRunbookMode: Mode };

/** The strictest of the Sovereign's and the Organization's mode. */
export function policyOf(config: Pick<Config, 'sovereign' | 'organizations' | 'policy'>): Policy {
  const modes = new Map(config.organizations.map(({ name, mode }) => [name, mode]));
  return (organization) => ({
    mode: strictestMode([config.sovereign.mode, organization === undefined ? undefined : modes.get(organization)]),
    defaultRunbookMode: config.policy.defaultRunbookMode,
  });
}

/**
 * The Organization an alert of the whole Sovereign is about: the one that has the alert's namespace. A label that claims an
 * Organization counts only when there is no namespace to say otherwise.
 */
export function organizationOfLabels(config: Pick<Config, 'organizations'>) {
  const exact = new Map<string, string>();
  const prefixes: { prefix: string; organization: string }[] = [];
  for (const { name, namespaces } of config.organizations) {
    for (const namespace of namespaces) {
      if (namespace.endsWith('*')) prefixes.push({ prefix: namespace.slice(0, -1), organization: name });
      else exact.set(namespace, name);
    }
  }
  // The longest prefix is the most particular.
  prefixes.sort((a, b) => b.prefix.length - a.prefix.length);
  const known = new Set(config.organizations.map(({ name }) => name));
  return (labels: Readonly<Record<string, string>>): string | undefined => {
    const namespace = labels.namespace;
    if (namespace !== undefined) {
      return exact.get(namespace) ?? prefixes.find(({ prefix }) => namespace.startsWith(prefix))?.organization;
    }
    return labels.organization !== undefined && known.has(labels.organization) ? labels.organization : undefined;
  };
}

/** How dispatch sees the catalog and the policy. */
export function dispatchPorts(catalog: Pick<Catalog, 'runbooks'>, policy: Policy, newId: () => string): DispatchPorts {
  return {
    newId,
    policy,
    matchAlert: (labels, organization) => matchRunbooks(catalog.runbooks(organization), labels, organization),
    matchIncident: (type, organization) =>
      catalog
        .runbooks(organization)
        .filter(({ triggers }) => triggers.some((trigger) => trigger.kind === 'incident' && trigger.type === type)),
  };
}
