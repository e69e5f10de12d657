/**
 * Asks whether the alerts of an incident still fire, because a "resolved" of their source is a hint: it comes too early
 * when Prometheus dies, and not at all when the alert is silenced or Alertmanager restarts.
 */
import type { Alert } from '../alert/alert.ts';
import { alertsOfIncidents, closeAlerts } from '../alert/alert-store.ts';
import { holdProcessing } from '../alert/processor.ts';
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { messageOf } from '../errors.ts';
import type { CallContext, FiringOracle } from '../integrations/contract.ts';
import { reopen } from './correlate.ts';
import type { Incident } from './incident.ts';
import { resolution } from './incident-command.ts';
import { type CheckAnswer, type CheckDecision, clearFor, decideCheck } from './incident-decision.ts';
import { incidentEntry } from './incident-entry.ts';
import { claimChecks, lockIncidents, saveIncidents } from './incident-store.ts';
import type { IncidentTypes } from './incident-types.ts';

/** Incidents of one step; the loop comes again at once while there are more. */
const checksAtOnce = 20;
/** Limit of asking about one incident, ms. Its claim outlasts it, so that nobody else asks meanwhile. */
const askFor = 30_000;
const claimFor = 2 * 60_000;
/** Questions under way at once: a storm's incident has thousands, and the system asked is in trouble as it is. */
const questionsAtOnce = 8;

export interface CheckedIncident {
  incidentId: string;
  outcome: CheckDecision['outcome'] | 'Changed' | 'Reopened';
  sentence: string;
}

/**
 * One step of a loop: asks about the incidents that are due, and resolves those that are over.
 *
 * @returns what was found, one entry for each incident asked about; empty when none is due
 */
export async function checkDue(options: {
  db: Database;
  clock: Clock;
  oracle: FiringOracle;
  types: Pick<IncidentTypes, 'calendarFor'>;
  signal?: AbortSignal;
}): Promise<CheckedIncident[]> {
  const { db, clock, oracle, types, signal } = options;
  const now = clock.now();
  const due = await claimChecks(db, { now, claimedUntil: now + claimFor, limit: checksAtOnce });
  const checked: CheckedIncident[] = [];
  for (const incident of due) {
    signal?.throwIfAborted();
    const alerts = askable(incident, await alertsOfIncidents(db, [incident.id]));
    const answers = await askAll(alerts, oracle, clock, signal);
    checked.push(
      await db.transaction().execute((tx) => conclude(tx, { seen: incident, alerts, answers, types }, clock.now())),
    );
  }
  return checked;
}

/**
 * The alerts to ask about: the last episode of each. Of a resolved incident, only those still reported as firing: what
 * is asked there is whether it has to be reopened.
 */
function askable(incident: Incident, alerts: readonly Alert[]): Alert[] {
  const last = new Map<string, Alert>();
  for (const alert of alerts) {
    const series = JSON.stringify([alert.source, alert.fingerprint]);
    // The newest start comes first.
    if (!last.has(series)) last.set(series, alert);
  }
  // Those whose source says that they fire come first: one that does settles the matter.
  const firing = [...last.values()].filter((alert) => alert.state === 'Firing');
  if (incident.state === 'Resolved') return firing;
  return [...firing, ...[...last.values()].filter((alert) => alert.state !== 'Firing')];
}

/** Asks until everything is answered, something fires, or time is up; what is then unanswered is unknown. */
async function askAll(
  alerts: readonly Alert[],
  oracle: FiringOracle,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<CheckAnswer[]> {
  const limit = new AbortController();
  const done = new AbortController();
  const stop = AbortSignal.any([limit.signal, ...(signal ? [signal] : [])]);
  const stopped = new Promise<never>((_, reject) => {
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
  });
  stopped.catch(() => {});
  void clock.sleep(askFor, done.signal).then(
    () => limit.abort(new Error(`no answer within ${askFor / 1000} s`)),
    () => {},
  );
  const answers: CheckAnswer[] = [];
  let next = 0;
  const worker = async () => {
    for (let alert = alerts[next++]; alert; alert = alerts[next++]) {
      if (answers.some((a) => a.answer === 'firing')) return;
      answers.push(await ask(alert, oracle, { clock, signal: stop }, stopped));
    }
  };
  try {
    await Promise.all(Array.from({ length: questionsAtOnce }, worker));
  } finally {
    done.abort();
  }
  return answers;
}

async function ask(
  alert: Alert,
  oracle: FiringOracle,
  context: CallContext,
  stopped: Promise<never>,
): Promise<CheckAnswer> {
  const { name, fingerprint, labels, generatorUrl, earliestStart, traceparent } = alert;
  try {
    context.signal.throwIfAborted();
    const asked = oracle.confirmFiring(traceparent ? { ...context, traceparent } : context, {
      fingerprint,
      labels,
      generatorUrl,
      startsAt: earliestStart,
    });
    return { alertName: name, ...(await Promise.race([asked, stopped])) };
  } catch (error) {
    return { alertName: name, answer: 'unknown', sentence: messageOf(error) };
  }
}

interface Asked {
  alerts: readonly Alert[];
  answers: readonly CheckAnswer[];
  types: Pick<IncidentTypes, 'calendarFor'>;
}

async function conclude(
  tx: Tx,
  { seen, alerts, answers, types }: Asked & { seen: Incident },
  now: number,
): Promise<CheckedIncident> {
  await holdProcessing(tx);
  const [incident] = await lockIncidents(tx, { ids: [seen.id] });
  if (!incident || incident.version !== seen.version) {
    if (incident)
      await saveIncidents(tx, [{ ...incident, checkAt: Math.min(incident.checkAt ?? Infinity, now + clearFor) }]);
    return { incidentId: seen.id, outcome: 'Changed', sentence: 'It changed while its alerts were asked about.' };
  }
  const step =
    incident.state === 'Resolved'
      ? await concludeResolved(tx, incident, { alerts, answers, types }, now)
      : concludeOpen(incident, answers, now);
  if (step.over)
    await closeAlerts(
      tx,
      alerts.map((alert) => alert.id),
      now,
    );
  await saveIncidents(tx, [step.next]);
  await appendRecord(tx, step.entries);
  return { incidentId: seen.id, outcome: step.outcome, sentence: step.sentence };
}

interface Step {
  outcome: CheckedIncident['outcome'];
  sentence: string;
  next: Incident;
  entries: RecordEntry[];
  /** True when the alerts asked about are found to be over. */
  over: boolean;
}

function concludeOpen(incident: Incident, answers: readonly CheckAnswer[], now: number): Step {
  const { outcome, sentence, checkAt, clearSince } = decideCheck(incident.clearSince, answers, now);
  const found = { checkOutcome: outcome, checkSentence: sentence, checkAt, clearSince };
  const data = { outcome, answers: evidenceOf(answers) };
  if (outcome === 'Clear') {
    // Mitigated is what a verified fix left behind; nothing fired anew since, and nobody else was at work on it.
    const how = incident.state === 'Mitigated' && incident.acknowledgedAt === undefined ? 'Verified' : 'Checked';
    const next = {
      ...incident,
      ...found,
      ...resolution({ actor: 'engine', now }, how, sentence),
      version: incident.version + 1,
    };
    const entry = {
      at: now,
      kind: 'incident.resolved',
      actor: 'engine',
      sentence: `It was resolved. ${sentence}`,
      data: { ...data, how },
    } as const;
    return { outcome, sentence, next, entries: [incidentEntry(next, entry)], over: true };
  }
  // The same finding every quarter of an hour would bury the timeline.
  const news = outcome !== incident.checkOutcome;
  const entry = {
    at: now,
    kind: 'incident.checked',
    actor: 'engine',
    sentence: `It stays open. ${sentence}`,
    data,
  } as const;
  return {
    outcome,
    sentence,
    next: { ...incident, ...found },
    entries: news ? [incidentEntry(incident, entry)] : [],
    over: false,
  };
}

/**
 * Reopens a resolved incident when one of its alerts is found to fire; also when that cannot be told, if the alert was
 * reported as firing since.
 */
async function concludeResolved(
  tx: Tx,
  incident: Incident,
  { alerts, answers, types }: Asked,
  now: number,
): Promise<Step> {
  const reportedSince = alerts.some((alert) => alert.lastSeen > (incident.resolvedAt ?? now));
  const still = answers.find((a) => a.answer === 'firing' || (a.answer === 'unknown' && reportedSince));
  const [open] = still ? await lockIncidents(tx, { openKeys: [incident.correlationKey] }) : [];
  if (!still || open) {
    const sentence = open
      ? `Incident ${open.id} of the same kind is open since.`
      : 'None of its alerts is known to fire since it was resolved.';
    const next: Incident = {
      ...incident,
      checkAt: undefined,
      clearSince: undefined,
      checkOutcome: 'Clear',
      checkSentence: sentence,
    };
    return { outcome: 'Clear', sentence, next, entries: [], over: answers.every((a) => a.answer === 'notFiring') };
  }
  const sentence = `${still.alertName} is still reported as firing after the incident was resolved: ${still.sentence}`;
  const next = { ...reopen(incident, now, types.calendarFor(incident.organization)), version: incident.version + 1 };
  const data = { answers: evidenceOf(answers) };
  const entry = {
    at: now,
    kind: 'incident.reopened',
    actor: 'engine',
    sentence: `It was reopened. ${sentence}`,
    data,
  } as const;
  return { outcome: 'Reopened', sentence, next, entries: [incidentEntry(next, entry)], over: false };
}

/** As much as a person would read. */
function evidenceOf(answers: readonly CheckAnswer[]): { alert: string; answer: string; sentence: string }[] {
  return answers.slice(0, 20).map(({ alertName, answer, sentence }) => ({ alert: alertName, answer, sentence }));
}
