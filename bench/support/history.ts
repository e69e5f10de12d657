/** A database as it looks after years: rows that the product itself could have written, put in with a few statements. */
import { sql } from 'kysely';
import { appendRecord } from '../../src/audit/record-store.ts';
import { openDatabase } from '../../src/database/open.ts';
import type { Product } from './product.ts';

/** Entries appended in one transaction. */
const batch = 5_000;

/** Fills the PostgreSQL of a product that runs. @returns entries of the record */
export async function seedHistory(
  { databaseUrl = '' }: Pick<Product, 'databaseUrl'>,
  { incidents, steps }: { incidents: number; steps: number },
): Promise<number> {
  const { db, close } = await openDatabase({ kind: 'postgres', url: databaseUrl, poolSize: 2 });
  const each = Math.max(1, Math.round(steps / incidents));
  // The newest is the last: one each minute up to now. One in fifty is open, acknowledged, and asked about by nobody.
  await sql`
    INSERT INTO incident (id, organization, type, title, severity, state, correlation_key, opened_at, acknowledged_at,
      acknowledged_by, resolved_at, resolved_by, resolved_how, resolution, respond_by, clock_from, escalation_step)
    SELECT 'i' || lpad(n::text, 8, '0'), CASE n % 4 WHEN 0 THEN NULL ELSE 'org-' || n % 4 END,
      (ARRAY['openbao-sealed','gitea-unreachable','pod-crash-loop','high-latency','high-error-rate'])[1 + n % 5],
      'Something is wrong: shop-' || n, 'P' || (1 + n % 4), CASE n % 50 WHEN 0 THEN 'Acknowledged' ELSE 'Resolved' END,
      'bench/' || n, at, at + interval '3 minutes', 'user/sre',
      CASE n % 50 WHEN 0 THEN NULL ELSE at + interval '20 minutes' END, CASE n % 50 WHEN 0 THEN NULL ELSE 'engine' END,
      CASE WHEN n % 50 = 0 THEN NULL WHEN n % 3 = 0 THEN 'Verified' ELSE 'Checked' END, 'It holds.',
      at + interval '15 minutes', at, 1
    FROM (SELECT n, now() - (${incidents} - n) * interval '1 minute' AS at FROM generate_series(0, ${incidents}::int - 1) n) s`.execute(
    db,
  );
  await sql`
    INSERT INTO alert (id, source, organization, fingerprint, name, labels, annotations, generator_url, external_url,
      starts_at, earliest_start, ends_at, state, fired_at, first_seen, last_seen, deliveries, incident_id)
    SELECT 'a' || substr(id, 2), 'bench', organization, md5(id), 'OpenBaoSealed',
      jsonb_build_object('alertname', 'OpenBaoSealed', 'namespace', 'shop', 'pod', id), '{}', '', '', opened_at, opened_at,
      coalesce(resolved_at, now()), 'Resolved', opened_at, opened_at, opened_at, 1, id FROM incident`.execute(db);
  await sql`
    INSERT INTO run (id, runbook, organization, document, trigger, dedupe_key, alert_id, incident_id, mode, inputs,
      requested_by, state, outcome, reason, sentence, target_key, created_at, acted_at, ended_at, entries)
    SELECT 'r' || substr(id, 2), type, organization, '{}', '{"kind":"alert"}', 'bench/' || id, 'a' || substr(id, 2), id,
      'Automatic', '{}', 'alertmanager', 'Ended', 'Succeeded', 'Verified', 'It holds.', 'Pod/shop/' || id, opened_at,
      CASE WHEN resolved_how = 'Verified' THEN opened_at + interval '5 seconds' END, opened_at + interval '5 minutes', ${each}
    FROM incident`.execute(db);
  // In parts: a statement has its limit of time.
  for (let seq = 1; seq <= each; seq++)
    await sql`
      INSERT INTO run_entry (run_id, seq, at, kind, data)
      SELECT id, ${seq}::int, created_at + ${seq}::int * interval '1 second', 'VerifyHolds',
        '{"sentence":"openbao.status.sealed == false holds.","index":1,"readings":[]}' FROM run`.execute(db);
  const entriesEach = 2;
  for (let from = 0; from < incidents; from += batch / entriesEach) {
    const entries = Array.from({ length: Math.min(batch / entriesEach, incidents - from) }, (_, n) => {
      const incidentId = `i${String(from + n).padStart(8, '0')}`;
      const at = Date.now() - (incidents - from - n) * 60_000;
      const base = {
        actor: 'engine',
        incidentId,
        data: {},
        organization: (from + n) % 4 ? `org-${(from + n) % 4}` : undefined,
      };
      return [
        { ...base, at, kind: 'incident.opened' as const, sentence: 'It was opened.' },
        { ...base, at: at + 1_200_000, kind: 'incident.resolved' as const, sentence: 'It was resolved.' },
      ];
    }).flat();
    await db.transaction().execute((tx) => appendRecord(tx, entries));
  }
  // As autovacuum would have done over the years.
  await sql`VACUUM ANALYZE`.execute(db);
  await close();
  return incidents * entriesEach;
}
