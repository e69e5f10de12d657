/**
 * The runbooks that are for an incident, the one to look at first first. Reads the catalog and the database; what each
 * would do now is asked of the world only by `explain`.
 */
import type { Alert } from '../alert/alert.ts';
import { listAlerts } from '../alert/alert-store.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { matchRunbooks, mostHeld } from '../catalog/match.ts';
import type { Problem } from '../catalog/resource.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { blockingVerdict, evaluateGuards } from '../guard/guard.ts';
import type { Incident } from '../incident/incident.ts';
import { getIncident } from '../incident/incident-store.ts';
import { type Share, shareOf } from '../incident/share.ts';
import {
  type PastRun,
  readLastRuns,
  readTargets,
  type TypeHistory,
  type TypeQuestion,
} from './effectiveness-queries.ts';
import { historySince } from './run-engine.ts';
import { readHistory } from './run-store.ts';
import { type Candidate, healthOf, type RunbookMatch, rankRunbooks } from './runbook-rank-decision.ts';

export interface IncidentRunbooksPorts {
  db: Database;
  clock: Clock;
  catalog: {
    /** What counts for the Organization. */
    runbooks(organization: string | undefined): readonly CompiledRunbook[];
    problems(): readonly Problem[];
  };
  /** What became of the incidents of a type; may be remembered for a while. */
  history(question: TypeQuestion): Promise<TypeHistory>;
  /** Runbooks the IncidentType names, the most useful first; empty where there is no such type. */
  listed(type: string, organization: string | undefined): readonly string[];
}

/** A runbook for the incident. Times are milliseconds since the epoch. */
export interface IncidentRunbook extends Candidate {
  sentence: string;
  runbook: CompiledRunbook;
  lastRuns: PastRun[];
  /** The alert to explain it with; undefined where the incident has none. */
  alertId: string | undefined;
}

export interface IncidentRunbooks {
  type: string;
  /** Since when incidents and runs count. */
  since: number;
  /** Of the incidents of this type in which no run acted, those that ended by themselves: what a runbook has to beat. */
  selfHealing: Share;
  items: IncidentRunbook[];
}

/** A quarter of a year: rare incidents count, and a runbook is not judged by what it was a year ago. */
const window = 90 * 24 * 3_600_000;
/** Alerts looked at: those of a storm are alike. */
const alertsLookedAt = 200;
/** Runs shown of each runbook. */
const runsShown = 5;

/** @returns undefined where there is no such incident, or none the Organization may see */
export async function runbooksForIncident(
  ports: IncidentRunbooksPorts,
  incidentId: string,
  visibleTo: string | undefined,
): Promise<IncidentRunbooks | undefined> {
  const { db, clock, catalog } = ports;
  const incident = await getIncident(db, incidentId);
  if (!incident || (visibleTo !== undefined && incident.organization !== visibleTo)) return undefined;
  const since = clock.now() - window;
  const alerts = await listAlerts(db, { incidentId, limit: alertsLookedAt });
  const matched = matchesOf(incident, alerts, catalog.runbooks(incident.organization), ports);
  const names = matched.map(({ name }) => name);
  const history = await ports.history({ type: incident.type, organization: visibleTo, since });
  const lastRuns = await readLastRuns(db, { runbooks: names, organization: visibleTo, each: runsShown });
  const suppressed = await suppressions(ports, incidentId, matched);
  const oldVersions = oldVersionsOf(catalog.problems());
  const candidates = matched.map((one) => ({
    ...one,
    ...standingOf(one, history, lastRuns.get(one.name) ?? [], oldVersions),
    suppressed: suppressed.get(one.name),
  }));
  return {
    type: incident.type,
    since,
    selfHealing: shareOf(history.endedByThemselves, history.untouched),
    items: rankRunbooks(candidates),
  };
}

type Matched = Pick<IncidentRunbook, 'name' | 'match' | 'chosen' | 'runbook' | 'alertId'>;

/** Every runbook that is for the incident, with its closest match. */
function matchesOf(
  incident: Incident,
  alerts: readonly Alert[],
  runbooks: readonly CompiledRunbook[],
  ports: Pick<IncidentRunbooksPorts, 'listed'>,
): Matched[] {
  // Those that still fire can be explained best.
  const sorted = [...alerts.filter(({ state }) => state === 'Firing'), ...alerts.filter((a) => a.state !== 'Firing')];
  const listed = ports.listed(incident.type, incident.organization);
  const found = new Map<CompiledRunbook, Matched>();
  for (const alert of sorted) {
    const { chosen, matching } = matchRunbooks(runbooks, alert.labels, incident.organization);
    for (const runbook of matching) {
      const triggers = runbook.triggers.filter((t) => t.kind === 'alert').filter((t) => t.alertName === alert.name);
      const matchers = mostHeld(triggers, alert.labels) ?? 0;
      const known = found.get(runbook);
      if (known?.match.kind === 'Alert' && known.match.matchers >= matchers) continue;
      const match: RunbookMatch = { kind: 'Alert', alertName: alert.name, matchers };
      found.set(runbook, matchedBy(runbook, match, runbook === chosen, alert.id));
    }
  }
  for (const runbook of runbooks) {
    if (found.has(runbook)) continue;
    const started = runbook.triggers.some((t) => t.kind === 'incident' && t.type === incident.type);
    const position = listed.indexOf(runbook.resource.metadata.name);
    if (!started && position < 0) continue;
    const match: RunbookMatch = started ? { kind: 'Incident', type: incident.type } : { kind: 'Listed', position };
    found.set(runbook, matchedBy(runbook, match, started, sorted[0]?.id));
  }
  return [...found.values()];
}

function matchedBy(
  runbook: CompiledRunbook,
  match: RunbookMatch,
  chosen: boolean,
  alertId: string | undefined,
): Matched {
  return { name: runbook.resource.metadata.name, match, chosen, runbook, alertId };
}

function standingOf(
  { name, runbook }: Matched,
  history: TypeHistory,
  lastRuns: PastRun[],
  oldVersions: ReadonlyMap<string, string>,
): Pick<IncidentRunbook, 'success' | 'health' | 'lastRunAt' | 'lastRuns'> {
  const { acted, fixed } = history.runbooks.get(name) ?? { acted: 0, fixed: 0 };
  const ended = lastRuns.filter((run) => run.actedAt !== undefined && run.state === 'Ended');
  const { source, file } = runbook.resource.provenance;
  return {
    success: shareOf(fixed, acted),
    health: healthOf(
      ended.map(({ reason }) => reason === 'Verified'),
      oldVersions.get(`${source} ${file} ${name}`),
    ),
    lastRunAt: lastRuns[0]?.createdAt,
    lastRuns,
  };
}

function oldVersionsOf(problems: readonly Problem[]): Map<string, string> {
  const stale = problems.filter(({ rule }) => rule === 'last-good-serves');
  return new Map(
    stale.map((one) => [`${one.source} ${one.file} ${one.resource?.replace(/^Runbook\//, '')}`, one.sentence]),
  );
}

/**
 * Guards that would hold a runbook back now, as far as earlier runs tell, on the targets it looked at in this incident.
 * Budgets and targets it has not looked at yet are the world's to tell.
 */
async function suppressions(
  { db, clock }: IncidentRunbooksPorts,
  incidentId: string,
  matched: readonly Matched[],
): Promise<Map<string, NonNullable<Candidate['suppressed']>>> {
  const now = clock.now();
  const found = new Map<string, NonNullable<Candidate['suppressed']>>();
  const targets = await readTargets(db, incidentId);
  for (const { name, runbook } of matched)
    for (const { target } of targets.filter((one) => one.runbook === name)) {
      const history = await readHistory(db, { runbook: name, target, except: '', since: historySince(runbook, now) });
      const verdicts = evaluateGuards({
        now,
        limits: runbook.guards,
        effects: [],
        history,
        budget: { state: 'notSet' },
      });
      const blocked = blockingVerdict(verdicts);
      if (blocked) found.set(name, { reason: blocked.reason, sentence: blocked.sentence });
    }
  return found;
}
