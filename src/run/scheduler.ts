/**
 * Starts the runs that schedules ask for. What has been looked at is a row for each schedule, so that an outage is
 * noticed, and a run is keyed by its local time, so that no replica and no clock change starts it twice.
 */
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { type DispatchPorts, newRun, runEntry } from './dispatch.ts';
import { insertRuns } from './run-store.ts';
import { planCatchup, type Schedule } from './schedule-decision.ts';

export interface SchedulerPorts extends Pick<DispatchPorts, 'policy' | 'newId'> {
  db: Database;
  clock: Clock;
  runbooks(): readonly CompiledRunbook[];
}

/** Looks at every schedule once. @returns how many runs it started. */
export async function startScheduledRuns(ports: SchedulerPorts): Promise<number> {
  let started = 0;
  for (const runbook of ports.runbooks()) {
    for (const trigger of runbook.triggers) {
      if (trigger.kind === 'schedule') started += await lookAt(ports, runbook, trigger);
    }
  }
  return started;
}

async function lookAt(ports: SchedulerPorts, runbook: CompiledRunbook, schedule: Schedule): Promise<number> {
  const now = ports.clock.now();
  const { name } = runbook.resource.metadata;
  const { organization } = runbook.resource.provenance;
  const key = `${organization ?? ''}/${name}/${schedule.cron}/${schedule.timeZone}`;
  return ports.db.transaction().execute(async (tx) => {
    // A schedule that is new begins now: it has missed nothing.
    await tx
      .insertInto('schedule')
      .values({ name: key, considered_until: new Date(now) })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute();
    const row = await tx
      .selectFrom('schedule')
      .select('considered_until')
      .where('name', '=', key)
      .forUpdate()
      .executeTakeFirstOrThrow();
    const { run: due, missed } = planCatchup(schedule, row.considered_until.getTime(), now);
    if (!due && missed.length === 0) return 0;
    await tx
      .updateTable('schedule')
      .set({ considered_until: new Date(now) })
      .where('name', '=', key)
      .execute();
    const entries: RecordEntry[] = missed.map((time) => ({
      at: now,
      kind: 'schedule.missed',
      actor: 'engine',
      organization,
      sentence: `${name} was due at ${time.localTime} (${schedule.timeZone}), when nobody was there to start it.`,
      data: { runbook: name, localTime: time.localTime },
    }));
    if (!due) {
      await appendRecord(tx, entries);
      return 0;
    }
    const run = newRun(runbook, ports, now, {
      organization,
      trigger: { kind: 'schedule', cron: schedule.cron, timeZone: schedule.timeZone, localTime: due.localTime },
      dedupeKey: `schedule/${key}/${due.localTime}`,
      alertId: undefined,
      incidentId: undefined,
      requestedBy: 'schedule',
      sentence: `It was due at ${due.localTime} (${schedule.timeZone}).`,
      traceparent: undefined,
    });
    const inserted = await insertRuns(tx, [run]);
    await appendRecord(tx, inserted.size > 0 ? [...entries, runEntry(run)] : entries);
    return inserted.size;
  });
}
