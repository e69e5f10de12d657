/**
 * The second of the three steps that share the transaction of a batch of deliveries (see `alert/processor.ts`): what
 * changed about alerts becomes incidents. A fixed number of statements, however many alerts.
 */
import { type Alert, type EpisodeChange, factSource } from '../alert/alert.ts';
import { countFiring, linkAlerts } from '../alert/alert-store.ts';
import type { RecordEntry } from '../audit/record.ts';
import type { BusinessCalendarSpec } from '../catalog/kinds/business-calendar.ts';
import type { Tx } from '../database/tables.ts';
import { newId } from '../ids.ts';
import { linkCauses } from './cause.ts';
import type { Incident, Severity } from './incident.ts';
import {
  correlateAlert,
  correlationKey,
  decideStillReported,
  recheckAfter,
  scopeOf,
  seriesKey,
  titleOf,
  unsettledState,
} from './incident-decision.ts';
import { incidentEntry } from './incident-entry.ts';
import { lockIncidents, readAliases, saveIncidents } from './incident-store.ts';
import type { IncidentTypeMatch, IncidentTypes } from './incident-types.ts';
import { respondBy } from './response-clock.ts';

/** An incident that changed for people. Runbooks triggered by `incident:` start on `Opened`. */
export interface TouchedIncident {
  kind: 'Opened' | 'Joined' | 'Reopened';
  incident: Incident;
  match: IncidentTypeMatch;
  /** The alerts that opened it, joined it or reopened it in this batch; at least one. */
  alerts: Alert[];
}

export interface Correlated {
  touched: TouchedIncident[];
  /** The incident of each alert in the batch that has one, by alert id. */
  incidentOf: ReadonlyMap<string, string>;
  /** For the record; the caller appends them last. */
  entries: RecordEntry[];
}

/** Opens and joins incidents for what fired, and has those asked about whose alerts are reported to be over. */
export async function correlate(
  tx: Tx,
  changes: readonly EpisodeChange[],
  options: { types: IncidentTypes; now: number },
): Promise<Correlated> {
  if (changes.length === 0) return { touched: [], incidentOf: new Map(), entries: [] };
  const batch = new Batch(options.types, options.now);
  const { ids, openKeys, seriesKeys, openTypes } = batch.wanted(changes);
  const aliases = await readAliases(tx, [...openKeys, ...seriesKeys]);
  batch.know(await lockIncidents(tx, { ids: [...ids, ...aliases.values()], openKeys, openTypes }), aliases);
  for (const change of changes) batch.apply(change);
  await saveIncidents(tx, batch.opened());
  await linkAlerts(tx, batch.links);
  // Only now do the alerts of this batch count as belonging to their incidents.
  batch.settle(await countFiring(tx, batch.maybeOver()));
  await saveIncidents(tx, batch.changed());
  const result = batch.result();
  const { causes } = options.types;
  if (causes) result.entries.push(...(await linkCauses(tx, batch.opened(), causes, options.now)));
  return result;
}

/** True for what starts or keeps an incident. A repeat may be of an end as well as of a firing. */
function fires({ kind, alert }: EpisodeChange): boolean {
  return kind === 'Fired' || ((kind === 'Repeat' || kind === 'Reopened') && alert.state === 'Firing');
}

interface Placed {
  match: IncidentTypeMatch;
  key: string;
  /** The key of an incident of this type that facts have opened for every place; no label is named `*`. */
  everywhere: string;
}

class Batch {
  readonly links: { alertId: string; incidentId: string }[] = [];
  readonly #types: IncidentTypes;
  readonly #now: number;
  readonly #places = new Map<string, Placed>();
  readonly #incidents = new Map<string, Incident>();
  readonly #open = new Map<string, Incident>();
  readonly #incidentOf = new Map<string, string>();
  #aliases: ReadonlyMap<string, string> = new Map();
  readonly #openedIds = new Set<string>();
  readonly #changedIds = new Set<string>();
  readonly #maybeOver = new Set<string>();
  readonly #touched = new Map<
    string,
    { kind: TouchedIncident['kind']; match: IncidentTypeMatch; alerts: Map<string, Alert> }
  >();
  readonly #entries: RecordEntry[] = [];
  readonly #joined = new Map<string, { incidentId: string; sentence: string; alerts: Alert[] }>();

  constructor(types: IncidentTypes, now: number) {
    this.#types = types;
    this.#now = now;
  }

  /** What to read before deciding: the incidents the alerts have, and the open ones they might join. */
  wanted(changes: readonly EpisodeChange[]) {
    const ids = new Set<string>();
    const openKeys = new Set<string>();
    const seriesKeys = new Set<string>();
    const openTypes = new Set<string>();
    for (const change of changes) {
      const { alert } = change;
      if (alert.incidentId !== undefined) ids.add(alert.incidentId);
      if (!fires(change)) continue;
      const { key, match, everywhere } = this.#placeOf(alert);
      openKeys.add(key).add(everywhere);
      seriesKeys.add(seriesKey(alert));
      if (key === everywhere) openTypes.add(match.type);
    }
    return { ids: [...ids], openKeys: [...openKeys], seriesKeys: [...seriesKeys], openTypes: [...openTypes] };
  }

  know(incidents: readonly Incident[], aliases: ReadonlyMap<string, string>): void {
    this.#aliases = aliases;
    for (const incident of incidents) this.#put(incident);
  }

  apply(change: EpisodeChange): void {
    const { kind, alert } = change;
    const incident = this.#incidents.get(this.#incidentOf.get(alert.id) ?? alert.incidentId ?? '');
    if (incident) this.#incidentOf.set(alert.id, incident.id);
    if (!fires(change)) {
      if (incident && incident.state !== 'Resolved') this.#maybeOver.add(incident.id);
    } else if (!incident) this.#place(alert);
    else if (incident.state === 'Resolved') this.#stillReported(incident, alert);
    else if (kind === 'Reopened') this.#change({ ...incident, clearSince: undefined });
  }

  /** Asks about the incidents none of whose alerts fires any more, as their sources say; that alone resolves nothing. */
  settle(firing: ReadonlyMap<string, number>): void {
    for (const id of this.maybeOver()) {
      const incident = this.#incidents.get(id);
      if (incident && (firing.get(id) ?? 0) === 0)
        this.#change({ ...incident, checkAt: Math.min(incident.checkAt ?? this.#now, this.#now) });
    }
  }

  maybeOver(): string[] {
    // An alert that fired and ended in one batch opens its incident after the change that ended it was seen.
    return [...this.#maybeOver, ...this.#openedIds];
  }

  opened(): Incident[] {
    return this.#those(this.#openedIds);
  }

  changed(): Incident[] {
    return this.#those(this.#changedIds);
  }

  result(): Correlated {
    for (const { incidentId, sentence, alerts } of this.#joined.values()) {
      const more = alerts.length > 1 ? ` So did ${alerts.length - 1} more.` : '';
      this.#record(incidentId, 'incident.alertJoined', `${alerts[0]?.name} joined: ${sentence}${more}`, {
        // A storm has thousands; the alerts themselves say which incident they belong to.
        alertIds: alerts.slice(0, 100).map((alert) => alert.id),
        alerts: alerts.length,
      });
    }
    const touched = [...this.#touched].map(([id, { kind, match, alerts }]) => ({
      kind,
      match,
      incident: this.#incidents.get(id) as Incident,
      alerts: [...alerts.values()],
    }));
    return { touched, incidentOf: this.#incidentOf, entries: this.#entries };
  }

  #placeOf(alert: Alert): Placed {
    let place = this.#places.get(alert.id);
    if (!place) {
      const match = this.#types.forAlert(alert.labels, alert.organization);
      const scope = scopeOf(alert.labels, match.scope);
      const everywhere = correlationKey(alert.organization, match.type, [['*', '*']]);
      // A check over facts that does not say where speaks of its type as a whole.
      const isWhole = alert.source === factSource && scope.length === 0;
      const key = isWhole ? everywhere : correlationKey(alert.organization, match.type, scope);
      place = { match, key, everywhere };
      this.#places.set(alert.id, place);
    }
    return place;
  }

  #place(alert: Alert): void {
    const { match, key } = this.#placeOf(alert);
    const decision = correlateAlert(alert, match, this.#open, this.#ledTo(alert, key));
    const incident =
      decision.kind === 'Open'
        ? this.#openFor(alert, match, key, titleOf(match, decision.scope), decision.sentence)
        : this.#join(decision.incident, alert, decision.raisedTo, decision.sentence);
    this.#link(alert, incident.id);
  }

  /** Where a person has led this alert, or its kind. An open incident of its own kind goes before where its kind was led. */
  #ledTo(alert: Alert, key: string): { incident: Incident; sentence: string } | undefined {
    const own = this.#aliasOf(seriesKey(alert));
    if (own) return { incident: own, sentence: `${alert.name} was put into it by a person.` };
    if (this.#open.has(key)) return undefined;
    const kind = this.#aliasOf(key);
    if (kind) return { incident: kind, sentence: `${alert.name} is of the kind that was merged into it.` };
    return this.#ofType(alert, key);
  }

  /** Facts that do not say where, and an alert that does, are about one thing while one of them is open. */
  #ofType(alert: Alert, key: string): { incident: Incident; sentence: string } | undefined {
    const { everywhere, match } = this.#placeOf(alert);
    const whole = this.#open.get(everywhere);
    if (whole) return { incident: whole, sentence: `${alert.name} is of the type ${match.type}, which it stands for.` };
    if (key !== everywhere) return undefined;
    const one = [...this.#open.values()].find(
      ({ type, organization }) => type === match.type && organization === alert.organization,
    );
    return one && { incident: one, sentence: `${alert.name} is of its type, ${match.type}, and does not say where.` };
  }

  #aliasOf(key: string): Incident | undefined {
    const incident = this.#incidents.get(this.#aliases.get(key) ?? '');
    return incident?.state === 'Resolved' ? undefined : incident;
  }

  #openFor(alert: Alert, match: IncidentTypeMatch, key: string, title: string, sentence: string): Incident {
    const incident = newIncident(
      alert.organization,
      match,
      { key, title, calendar: this.#calendarOf(alert) },
      this.#now,
    );
    this.#put(incident);
    this.#openedIds.add(incident.id);
    this.#touch('Opened', incident.id, match, alert);
    this.#record(incident.id, 'incident.opened', `${incident.severity} ${incident.title}: opened. ${sentence}`, {
      type: match.type,
      severity: incident.severity,
      alertId: alert.id,
      respondBy: new Date(incident.respondBy).toISOString(),
      runbooks: [...match.runbooks],
    });
    return incident;
  }

  #join(incident: Incident, alert: Alert, raisedTo: Severity | undefined, sentence: string): Incident {
    let next: Incident = { ...incident, clearSince: undefined, checkAt: incident.checkAt ?? this.#now + recheckAfter };
    let told = sentence;
    if (incident.state === 'Mitigated') {
      next = { ...next, state: unsettledState(incident), mitigatedAt: undefined };
      told = `${sentence} The mitigation did not hold.`;
    }
    if (raisedTo) {
      const due = respondBy(raisedTo, this.#now, this.#calendarOf(alert));
      // The policy of the new severity may have a step that is due already.
      // At once, whatever the time on its clock.
      const escalateAt = next.acknowledgedAt === undefined ? incident.clockFrom : undefined;
      next = { ...next, severity: raisedTo, respondBy: Math.min(incident.respondBy, due), escalateAt };
      const raised = `Its severity was raised from ${incident.severity} to ${raisedTo} by ${alert.name}.`;
      this.#record(incident.id, 'incident.severityChanged', raised, { from: incident.severity, to: raisedTo });
    }
    this.#change(next);
    this.#touch('Joined', incident.id, this.#placeOf(alert).match, alert);
    const joined = this.#joined.get(incident.id) ?? { incidentId: incident.id, sentence: told, alerts: [] };
    joined.alerts.push(alert);
    this.#joined.set(incident.id, joined);
    return next;
  }

  #stillReported(incident: Incident, alert: Alert): void {
    const decision = decideStillReported(incident, this.#now);
    if (decision.kind === 'Leave') return;
    if (decision.kind === 'CheckAt') {
      this.#change({
        ...incident,
        checkAt: Math.min(incident.checkAt ?? decision.at, decision.at),
        clearSince: undefined,
      });
      return;
    }
    // Another incident of the same kind may have been opened since; there can be one only.
    if (this.#open.has(incident.correlationKey)) {
      this.#place(alert);
      return;
    }
    this.#change(reopen(incident, this.#now, this.#calendarOf(alert)));
    this.#touch('Reopened', incident.id, this.#placeOf(alert).match, alert);
    this.#record(incident.id, 'incident.reopened', `It was reopened. ${alert.name}: ${decision.sentence}`, {
      alertId: alert.id,
    });
  }

  #calendarOf({ organization }: Alert): BusinessCalendarSpec {
    return this.#types.calendarFor(organization);
  }

  #touch(kind: TouchedIncident['kind'], incidentId: string, match: IncidentTypeMatch, alert: Alert): void {
    const touched = this.#touched.get(incidentId) ?? { kind, match, alerts: new Map() };
    touched.alerts.set(alert.id, alert);
    this.#touched.set(incidentId, touched);
  }

  #link(alert: Alert, incidentId: string): void {
    this.#incidentOf.set(alert.id, incidentId);
    this.links.push({ alertId: alert.id, incidentId });
  }

  /** Keeps a change; its version grows once in a batch, however often it changes. */
  #change(next: Incident): void {
    const first = !this.#changedIds.has(next.id) && !this.#openedIds.has(next.id);
    this.#changedIds.add(next.id);
    this.#put(first ? { ...next, version: next.version + 1 } : next);
  }

  #put(incident: Incident): void {
    this.#incidents.set(incident.id, incident);
    if (incident.state !== 'Resolved') this.#open.set(incident.correlationKey, incident);
  }

  #those(ids: ReadonlySet<string>): Incident[] {
    return [...ids].flatMap((id) => this.#incidents.get(id) ?? []);
  }

  #record(incidentId: string, kind: RecordEntry['kind'], sentence: string, data: RecordEntry['data']): void {
    const incident = this.#incidents.get(incidentId) as Incident;
    this.#entries.push(incidentEntry(incident, { at: this.#now, kind, actor: 'engine', sentence, data }));
  }
}

/** An incident that opens now. */
export function newIncident(
  organization: string | undefined,
  match: IncidentTypeMatch,
  { key, title, calendar }: { key: string; title: string; calendar: BusinessCalendarSpec },
  now: number,
): Incident {
  return {
    ...startingAnew(match.severity, now, calendar),
    id: newId(now),
    organization,
    type: match.type,
    title,
    severity: match.severity,
    state: 'Open',
    correlationKey: key,
    openedAt: now,
    acknowledgedAt: undefined,
    acknowledgedBy: undefined,
    mergedInto: undefined,
    splitFrom: undefined,
    causedBy: undefined,
    causedBySentence: undefined,
    version: 1,
  };
}

/** The incident, open again: its response clock starts anew. */
export function reopen(incident: Incident, now: number, calendar: BusinessCalendarSpec): Incident {
  return {
    ...incident,
    ...startingAnew(incident.severity, now, calendar),
    state: unsettledState(incident),
    // Who has acknowledged it is on it still.
    escalateAt: incident.acknowledgedAt === undefined ? now : undefined,
  };
}

/** What an incident is before anything was done about it: unresolved, unanswered, and to be looked at. */
function startingAnew(severity: Severity, now: number, calendar: BusinessCalendarSpec) {
  return {
    mitigatedAt: undefined,
    resolvedAt: undefined,
    resolvedBy: undefined,
    resolvedHow: undefined,
    resolution: undefined,
    clockFrom: now,
    respondBy: respondBy(severity, now, calendar),
    escalatedAt: undefined,
    escalateAt: now,
    escalationStep: 0,
    steppedAt: undefined,
    checkAt: now + recheckAfter,
    checkOutcome: undefined,
    checkSentence: undefined,
    clearSince: undefined,
  };
}
