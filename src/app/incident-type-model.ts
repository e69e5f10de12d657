/** The types of incidents of the catalog, as the API shows them. */
import type { IncidentTypeSummary, IncidentTypes } from '../api/ports.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { IncidentType } from '../catalog/kinds/incident-type.ts';

/** Lists and finds types by name: an Organization sees its own and the Sovereign's, its own where both have the name. */
export function incidentTypeModel(catalog: Pick<Catalog, 'incidentTypes'>): IncidentTypes {
  const seenBy = (organization: string | undefined): IncidentTypeSummary[] => {
    const all = catalog.incidentTypes().map(summaryOf);
    const own = new Set(
      all
        .filter((type) => type.organization !== undefined && type.organization === organization)
        .map(({ name }) => name),
    );
    return all
      .filter(
        (type) =>
          organization === undefined ||
          type.organization === organization ||
          (type.organization === undefined && !own.has(type.name)),
      )
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  };
  return {
    list: async ({ after, limit, organization }) => {
      const rest = seenBy(organization).filter((type) => after === undefined || keyOf(type) > after);
      const items = rest.slice(0, limit);
      const last = items.at(-1);
      return last && rest.length > limit ? { items, next: keyOf(last) } : { items };
    },
    find: async (name, organization) => {
      const named = seenBy(organization).filter((type) => type.name === name);
      return named.find((type) => type.organization === organization) ?? named[0];
    },
  };
}

/** Neither part can hold a slash; the Sovereign's come first. */
const keyOf = ({ name, organization = '' }: IncidentTypeSummary) => `${name}/${organization}`;

function summaryOf({ metadata, provenance, spec }: IncidentType): IncidentTypeSummary {
  return {
    name: metadata.name,
    organization: provenance.organization,
    title: spec.title,
    severity: spec.severity,
    recognisedBy: spec.recognisedBy.map(({ alertName, matchers = [] }) =>
      matchers.length === 0 ? `alert ${alertName}` : `alert ${alertName} with ${matchers.join(', ')}`,
    ),
    runbooks: spec.runbooks ?? [],
    guidance: spec.guidance?.trim(),
    source: provenance.source,
    revision: provenance.revision,
    file: provenance.file,
    line: provenance.line,
  };
}
