/** For tests: incidents, alerts and runs of the past, as rows, each with what a test does not care about filled in. */
import type { Insertable } from 'kysely';
import type { AlertTable, Database, IncidentTable, RunTable } from '../database/tables.ts';

/** Monday noon. */
export const noon = Date.UTC(2026, 0, 5, 12);
export const minutesAfterNoon = (minutes: number) => new Date(noon + minutes * 60_000);

export async function insertIncident(
  db: Database,
  id: string,
  change: Partial<Insertable<IncidentTable>> = {},
): Promise<void> {
  const opened = (change.opened_at as Date | undefined) ?? minutesAfterNoon(0);
  const row = {
    id,
    type: 'openbao-sealed',
    title: 'OpenBao sealed: catalyst-system',
    severity: 'P1' as const,
    state: 'Open' as const,
    correlation_key: id,
    opened_at: opened,
    clock_from: opened,
    respond_by: new Date(opened.getTime() + 15 * 60_000),
    escalation_step: 0,
  };
  await db
    .insertInto('incident')
    .values({ ...row, ...change })
    .execute();
}

export async function insertAlert(
  db: Database,
  id: string,
  change: Partial<Insertable<AlertTable>> = {},
): Promise<void> {
  const row = {
    id,
    source: 'am',
    fingerprint: id,
    name: 'OpenBaoSealed',
    labels: JSON.stringify({ alertname: 'OpenBaoSealed', namespace: 'catalyst-system' }),
    annotations: '{}',
    generator_url: '',
    external_url: '',
    starts_at: minutesAfterNoon(0),
    earliest_start: minutesAfterNoon(0),
    fired_at: minutesAfterNoon(0),
    state: 'Firing' as const,
    first_seen: minutesAfterNoon(0),
    last_seen: minutesAfterNoon(0),
    deliveries: 1,
  };
  await db
    .insertInto('alert')
    .values({ ...row, ...change })
    .execute();
}

/** A run that acted and was verified, unless a test says otherwise. */
export async function insertRun(db: Database, id: string, change: Partial<Insertable<RunTable>> = {}): Promise<void> {
  const row = {
    id,
    runbook: 'openbao-sealed',
    document: '{}',
    trigger: '{"kind":"alert"}',
    dedupe_key: id,
    mode: 'Automatic' as const,
    inputs: '{}',
    requested_by: 'engine',
    state: 'Ended' as const,
    outcome: 'Succeeded' as const,
    reason: 'Verified',
    sentence: 'It has held for 1m.',
    created_at: minutesAfterNoon(0),
    acted_at: minutesAfterNoon(0),
    ended_at: minutesAfterNoon(2),
  };
  await db
    .insertInto('run')
    .values({ ...row, ...change })
    .execute();
}
