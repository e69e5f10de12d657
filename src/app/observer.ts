/** Turns what happens into metrics, log lines and the stream's wake-up. */
import type { Catalog } from '../catalog/catalog.ts';
import type { Problem } from '../catalog/resource.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import type { IntakeRound } from '../run/intake-round.ts';
import type { Entry } from '../run/journal.ts';
import type { RunInHand } from '../run/run-in-hand.ts';
import { nextWake } from '../run/run-store.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/meter.ts';
import { parseTraceparent, type Tracing } from '../telemetry/trace.ts';
import type { RecordCheck } from './record-check.ts';
import { recordSpan } from './run-spans.ts';

export interface ObserverPorts {
  metrics: Metrics;
  log: Log;
  tracing: Pick<Tracing, 'record'>;
  clock: Clock;
  wakeup: { wake(): void };
}

export function createObserver({ metrics, log, tracing, clock, wakeup }: ObserverPorts) {
  return {
    /** An entry of a run's journal was committed. */
    entry(run: RunInHand, entry: Entry, committedIn: number): void {
      wakeup.wake();
      const runbook = run.runbook.resource.metadata.name;
      const ids = { run: run.id, runbook, alert: run.alert?.id, incident: run.incident?.id, ...traceIdOf(run) };
      log.info({ ...ids, entry: entry.kind, ...reasonOf(entry) }, entry.sentence);
      // Handbook §4.3: 80 % of the budget is a warning in the log.
      if (entry.kind === 'Prepared')
        for (const { guard, verdict, sentence } of entry.data.guards)
          if (verdict === 'Warn') log.warn({ ...ids, guard }, sentence);
      countEntry(metrics, run, entry, runbook);
      if (/^Step(Started|Succeeded|Failed)$/.test(entry.kind)) metrics.measure('stepOverhead', {}, committedIn / 1000);
      recordSpan(tracing, run, entry, runbook);
    },
    /** A round of deliveries was committed. */
    intake(round: IntakeRound): void {
      if (round.deliveries === 0) return;
      wakeup.wake();
      metrics.count('alertsReceived', { status: 'firing' }, round.firing);
      metrics.count('alertsReceived', { status: 'resolved' }, round.resolved);
      if (round.deadLetters > 0) {
        metrics.count('deadLetters', {}, round.deadLetters);
        log.warn({ deadLetters: round.deadLetters }, 'deliveries could not be read and are kept as dead letters');
      }
      log.debug(round, 'deliveries worked through');
    },
    /** A round of pages was delivered, or not. */
    pages({ delivered, retried, failed }: { delivered: number; retried: number; failed: number }): void {
      if (delivered > 0) metrics.count('pages', { outcome: 'Delivered' }, delivered);
      if (retried > 0) metrics.count('pages', { outcome: 'Retried' }, retried);
      if (failed > 0) metrics.count('pages', { outcome: 'Failed' }, failed);
      if (delivered + failed > 0) wakeup.wake();
    },
    /** Says where the gauges are read. */
    gauges(db: Database, catalog: Pick<Catalog, 'all' | 'problems'>, record: Pick<RecordCheck, 'isBroken'>): void {
      metrics.observe('recordBroken', async () => [{ labels: {}, value: record.isBroken() ? 1 : 0 }]);
      metrics.observe('oldestDueRun', async () => {
        const due = await nextWake(db);
        return [{ labels: {}, value: due === undefined ? 0 : Math.max(0, clock.now() - due) / 1000 }];
      });
      metrics.observe('intakeQueue', async () => {
        const row = await db
          .selectFrom('delivery')
          .select((select) => select.fn.countAll<number>().as('count'))
          .where('state', '=', 'Pending')
          .executeTakeFirstOrThrow();
        return [{ labels: {}, value: Number(row.count) }];
      });
      metrics.observe('incidentsOpen', async () => {
        const rows = await db
          .selectFrom('incident')
          .select((select) => ['severity', select.fn.countAll<number>().as('count')])
          .where('state', '<>', 'Resolved')
          .groupBy('severity')
          .execute();
        return rows.map((row) => ({ labels: { severity: row.severity }, value: Number(row.count) }));
      });
      metrics.observe('catalogDocuments', async () =>
        counted(catalog.all().map((runbook) => runbook.resource.provenance.source)).map(([source, value]) => ({
          labels: { source },
          value,
        })),
      );
      metrics.observe('catalogProblems', async () =>
        counted<Problem['severity']>(catalog.problems().map((problem) => problem.severity)).map(
          ([severity, value]) => ({
            labels: { severity },
            value,
          }),
        ),
      );
    },
  };
}

function traceIdOf({ traceparent }: RunInHand): { trace_id?: string } {
  const context = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  return context ? { trace_id: context.traceId } : {};
}

function reasonOf(entry: Entry): { reason?: string; outcome?: string } {
  if (entry.kind === 'Ended') return { reason: entry.data.reason, outcome: entry.data.outcome };
  return 'reason' in entry.data ? { reason: entry.data.reason } : {};
}

function countEntry(metrics: Metrics, run: RunInHand, entry: Entry, runbook: string): void {
  switch (entry.kind) {
    case 'StepStarted':
      // The first that was intended: its moment is the one from which on the run counts as having acted.
      if (run.state.actedAt === entry.at && run.alert)
        metrics.measure('webhookToFirstAction', {}, (entry.at - run.createdAt) / 1000);
      return;
    case 'StepSucceeded':
    case 'StepFailed': {
      const step = run.state.steps[entry.data.phase][entry.data.index];
      if (step?.intent) {
        const outcome = entry.kind === 'StepSucceeded' ? 'Succeeded' : entry.data.certain ? 'Failed' : 'Unknown';
        metrics.count('stepAttempts', { action: step.intent.action, outcome });
      } else if (step?.deadline !== undefined && step.startedAt !== undefined) {
        const outcome = entry.kind === 'StepSucceeded' ? 'Verified' : 'Failed';
        metrics.measure('verificationDuration', { outcome }, (entry.at - step.startedAt) / 1000);
      }
      return;
    }
    case 'Ended': {
      const { outcome, reason } = entry.data;
      metrics.count('runs', { runbook, outcome, reason });
      metrics.measure('runDuration', { runbook }, (entry.at - run.createdAt) / 1000);
      if (outcome === 'Refused' || outcome === 'Suggested') metrics.count('actionsBlocked', { reason });
      return;
    }
    default:
  }
}

function counted<T extends string>(words: readonly T[]): [T, number][] {
  const counts = new Map<T, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts];
}
