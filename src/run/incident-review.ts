/** Gathers what the draft of a review is made of. */
import { listAlerts } from '../alert/alert-store.ts';
import { readRecord } from '../audit/record-store.ts';
import type { Database } from '../database/tables.ts';
import { getIncident, listMerged } from '../incident/incident-store.ts';
import { reviewText } from './review-text.ts';
import { listRuns } from './run-queries.ts';
import { readEntries, readRevision } from './run-store.ts';

/** Entries of the timeline: some 20 pages of print. What is behind them is in the record. */
const mostEntries = 1_000;
/** Alerts and runs that are shown. */
const mostShown = 50;

/** @returns the draft as Markdown; undefined where there is no such incident, or none the Organization may see */
export async function reviewOfIncident(
  db: Database,
  incidentId: string,
  visibleTo: string | undefined,
): Promise<string | undefined> {
  const incident = await getIncident(db, incidentId);
  if (!incident || (visibleTo !== undefined && incident.organization !== visibleTo)) return undefined;
  const merged = await listMerged(db, incidentId);
  const entries = [];
  for (const { id } of [incident, ...merged])
    entries.push(...(await readRecord(db, { incidentId: id, limit: mostEntries + 1 })));
  // Their numbers are the order in which things happened, whichever incident they are of.
  const timeline = entries.sort((a, b) => a.seq - b.seq);
  const alerts = await listAlerts(db, { incidentId, limit: mostShown });
  const { items: runs } = await listRuns(db, { limit: mostShown }, { incidentId });
  const told = [];
  for (const run of runs.reverse())
    told.push({ run, revision: await readRevision(db, run.id), journal: await readEntries(db, run.id) });
  return reviewText({
    incident,
    merged,
    alerts,
    alertCount: await countAlerts(db, incidentId),
    timeline: timeline.slice(0, mostEntries),
    more: timeline.length > mostEntries,
    runs: told,
  });
}

async function countAlerts(db: Database, incidentId: string): Promise<number> {
  const { count } = await db
    .selectFrom('alert')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('incident_id', '=', incidentId)
    .executeTakeFirstOrThrow();
  return Number(count);
}
