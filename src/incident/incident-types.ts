/** Which type of incident an alert is. Pure, over the types the catalog loaded. */
import type { LabelMatcher } from '../catalog/compiled-runbook.ts';
import type { BusinessCalendar, BusinessCalendarSpec } from '../catalog/kinds/business-calendar.ts';
import type { IncidentType, Severity } from '../catalog/kinds/incident-type.ts';
import type { CauseRules } from './cause.ts';
import { calendarOf } from './response-clock.ts';

type Labels = Readonly<Record<string, string>>;

/** What is known of an incident by the labels of an alert. */
export interface IncidentTypeMatch {
  /** Name of the IncidentType, or of the alert where no type recognises it. */
  type: string;
  known: boolean;
  title: string;
  severity: Severity;
  /** Labels that tell one incident of this type from another; undefined for the usual ones. */
  scope: readonly string[] | undefined;
  runbooks: readonly string[];
  guidance: string | undefined;
}

/** The port through which incidents know their types. */
export interface IncidentTypes {
  /** @param organization the Organization the alert belongs to; undefined for the Sovereign's own alerts */
  forAlert(labels: Labels, organization: string | undefined): IncidentTypeMatch;
  /** When people of the Organization work. */
  calendarFor(organization: string | undefined): BusinessCalendarSpec;
  /** Which types explain which; undefined where none does. */
  causes?: CauseRules | undefined;
}

/** Severity of an alert that no IncidentType recognises, by its label `severity`. */
export interface UnknownSeverity {
  byLabel: Readonly<Record<string, Severity>>;
  otherwise: Severity;
}

/**
 * `critical` is P2 and not P1: P1 means that the Sovereign's control plane is down, and calls people within 15 minutes
 * at night. That is said by a declared type, not by a label anybody may put on a rule.
 */
export const defaultUnknownSeverity: UnknownSeverity = {
  byLabel: { critical: 'P2', warning: 'P3' },
  otherwise: 'P4',
};

type Recognised = IncidentType['spec']['recognisedBy'][number];

interface Rule {
  type: IncidentType;
  matchers: readonly LabelMatcher[];
}

/**
 * Looks types up by alert name. An Organization's own types go before the Sovereign's and count for its alerts alone;
 * among several that match, the one with more matchers, then the first by name.
 *
 * @param parseMatcher parses one label matcher; throws where it is none (the catalog's lint has said so before)
 */
export function incidentTypesOf(
  types: readonly IncidentType[],
  parseMatcher: (text: string) => LabelMatcher,
  unknown: UnknownSeverity = defaultUnknownSeverity,
  calendars: readonly BusinessCalendar[] = [],
): IncidentTypes {
  const byAlertName = new Map<string, Rule[]>();
  for (const type of types) {
    // The alerts its own checks raise have its name.
    const own = type.spec.recognise ? [{ alertName: type.metadata.name }] : [];
    for (const { alertName, matchers = [] } of [...type.spec.recognisedBy, ...own] as Recognised[]) {
      const rules = byAlertName.get(alertName) ?? [];
      rules.push({ type, matchers: matchers.map(parseMatcher) });
      byAlertName.set(alertName, rules);
    }
  }
  for (const rules of byAlertName.values()) rules.sort(compareRules);
  return {
    calendarFor: (organization) => calendarOf(calendars, organization),
    causes: causeRulesOf(types),
    forAlert(labels, organization) {
      const name = label(labels, 'alertname') || 'Unnamed';
      const rule = byAlertName.get(name)?.find(({ type, matchers }) => {
        const owner = type.provenance.organization;
        return (owner === undefined || owner === organization) && matchers.every((matcher) => matcher.matches(labels));
      });
      return rule ? matchOf(rule.type) : unknownMatch(name, label(labels, 'severity'), unknown);
    },
  };
}

function causeRulesOf(types: readonly IncidentType[]): CauseRules {
  const declaring = types.filter(({ spec }) => spec.causedBy !== undefined);
  return {
    of: (name, organization) =>
      declaring
        .filter(({ metadata, provenance }) => {
          const owner = provenance.organization;
          return metadata.name === name && (owner === undefined || owner === organization);
        })
        .flatMap(({ spec }) => spec.causedBy ?? []),
    effectsOf: (cause) =>
      declaring
        .filter(({ spec }) => spec.causedBy?.some(({ type }) => type === cause))
        .map(({ metadata }) => metadata.name),
  };
}

function compareRules(a: Rule, b: Rule): number {
  const own =
    Number(b.type.provenance.organization !== undefined) - Number(a.type.provenance.organization !== undefined);
  const closer = b.matchers.length - a.matchers.length;
  return own || closer || (a.type.metadata.name < b.type.metadata.name ? -1 : 1);
}

function matchOf({ metadata, spec }: IncidentType): IncidentTypeMatch {
  return {
    type: metadata.name,
    known: true,
    title: spec.title,
    severity: spec.severity,
    scope: spec.scope,
    runbooks: spec.runbooks ?? [],
    guidance: spec.guidance,
  };
}

function unknownMatch(name: string, severity: string, { byLabel, otherwise }: UnknownSeverity): IncidentTypeMatch {
  return {
    type: name,
    known: false,
    title: name,
    severity: Object.hasOwn(byLabel, severity) ? (byLabel[severity] ?? otherwise) : otherwise,
    scope: undefined,
    runbooks: [],
    guidance: undefined,
  };
}

/** The value of a label; empty where there is none, as in Alertmanager. */
export function label(labels: Labels, name: string): string {
  return Object.hasOwn(labels, name) ? (labels[name] ?? '') : '';
}
