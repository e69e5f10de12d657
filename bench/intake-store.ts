/**
 * How fast deliveries are committed and processed: `node bench/intake-store.ts [postgres-url]`. Without a URL the
 * embedded database in memory. Prints rates by the clock and, for this process, by the processor.
 */
import { sql } from 'kysely';
import { createIntake } from '../src/alert/intake.ts';
import { processDeliveries } from '../src/alert/processor.ts';
import { appendRecord } from '../src/audit/record-store.ts';
import { systemClock } from '../src/clock.ts';
import { openDatabase } from '../src/database/open.ts';
import { correlate } from '../src/incident/correlate.ts';
import { incidentTypesOf } from '../src/incident/incident-types.ts';

const url = process.argv[2];
const database = await openDatabase(url ? { kind: 'postgres', url, poolSize: 16 } : { kind: 'memory' });
const { db } = database;
await sql`TRUNCATE delivery, alert`.execute(db);

const alert = (i: number) => ({
  status: 'firing',
  labels: {
    alertname: 'HighMemoryUsage',
    severity: 'warning',
    cluster: 'hz-fsn-rtz-prod',
    namespace: 'shop',
    pod: `shop-7d9c5b6f4-${i}`,
  },
  annotations: {
    summary: `Pod shop-${i} uses 93 % of its memory limit`,
    runbook_url: 'https://runbooks.example/high-memory-usage',
  },
  startsAt: '2026-11-02T03:04:05.678Z',
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL:
    'http://prometheus:9090/graph?g0.expr=container_memory_working_set_bytes+%2F+container_spec_memory_limit_bytes+%3E+0.9',
});
const webhook = (alerts: unknown[]) =>
  Buffer.from(
    JSON.stringify({
      version: '4',
      status: 'firing',
      receiver: 'catalyst',
      truncatedAlerts: 0,
      externalURL: 'http://am',
      alerts,
    }),
  );

async function measure(name: string, count: number, work: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  const cpuSeconds = (used.user + used.system) / 1e6;
  console.log(
    `${name}: ${count} in ${seconds.toFixed(2)} s = ${Math.round(count / seconds)}/s; ${Math.round(count / cpuSeconds)}/s of processor time`,
  );
}

/** So many senders, each waiting for its answer before it sends the next. */
async function sendAll(count: number, senders: number, body: Buffer): Promise<void> {
  const intake = createIntake({ db, clock: systemClock });
  let sent = 0;
  const sender = async () => {
    while (sent++ < count) await intake.accept({ source: 'bench', body });
  };
  await Promise.all(Array.from({ length: senders }, sender));
  console.log(`  ${intake.stats().commits} commits`);
  await intake.stop();
}

const processAll = () =>
  db.transaction().execute(async (tx) => {
    while ((await processDeliveries(tx, { limit: 500, now: Date.now() })).deliveries > 0);
  });

/** Everything a delivery sets off before a runbook is looked for: alerts, incidents, record. */
const processToTheRecord = () =>
  db.transaction().execute(async (tx) => {
    const now = Date.now();
    const processed = await processDeliveries(tx, { limit: 1, now });
    const correlated = await correlate(tx, processed.changes, { types: incidentTypesOf([], parseNoMatcher), now });
    await appendRecord(tx, [...processed.entries, ...correlated.entries]);
  });
const parseNoMatcher = () => {
  throw new Error('no incident types, no matchers');
};

const body = webhook([alert(1)]);
console.log(`${database.kind}, body of ${body.length} bytes`);
await sendAll(2000, 256, body);
await measure('accept, 256 senders', 20_000, () => sendAll(20_000, 256, body));
await measure('process, one alert each', 22_000, processAll);
await sql`TRUNCATE delivery, alert`.execute(db);
const storm = webhook(Array.from({ length: 10_000 }, (_, i) => alert(i)));
for (const what of ['new', 'repeated']) {
  await sendAll(1, 1, storm);
  await measure(`process, 10,000 ${what} alerts in one delivery of ${storm.length} bytes`, 10_000, processAll);
}
await sql`TRUNCATE delivery, alert`.execute(db);
await sendAll(1, 1, storm);
await measure('alerts, incident and record of 10,000 alerts in one delivery', 10_000, processToTheRecord);
await sql`TRUNCATE delivery, alert, incident`.execute(db);
await database.close();
