/** Facts open incidents and end them: the decision by itself, and two replicas over one database. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { factSource } from '../alert/alert.ts';
import { listAlerts } from '../alert/alert-store.ts';
import { insertDeliveries } from '../alert/delivery-store.ts';
import { processDeliveries } from '../alert/processor.ts';
import { appendRecord, readRecord } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { correlate } from './correlate.ts';
import { checkDue } from './incident-check.ts';
import { clearFor } from './incident-decision.ts';
import { listIncidents } from './incident-store.ts';
import type { IncidentTypes } from './incident-types.ts';
import { type Recogniser, recogniseDue, recognitionOracle } from './recognition.ts';
import { decideRecognition, type RecognitionState, type Seen } from './recognition-decision.ts';
import { defaultCalendar } from './response-clock.ts';

const times = { for: 60_000, every: 20_000 };
const nothing: RecognitionState = {
  lookedAt: undefined,
  holdingSince: undefined,
  clearSince: undefined,
  raisedAt: undefined,
};
/** Looks each 20 s, and says at which look an alert began or ended. */
function told(seen: readonly Seen[], every = times.every): string[] {
  let state = nothing;
  return seen.flatMap((one, index) => {
    const move = decideRecognition(state, one, times, index * every);
    state = move.next;
    return move.alert ? [`${index} ${move.alert.status} since ${move.alert.startsAt / every}`] : [];
  });
}

test('it opens when it has held for its time without a break, and ends when it has not', () => {
  assert.deepEqual(told([true, true, true, true, true]), ['3 firing since 0']);
  assert.deepEqual(told([true, true, false, true, true, true, true]), ['6 firing since 3']);
  assert.deepEqual(told([true, true, true, true, false, false, false, false]), [
    '3 firing since 0',
    '7 resolved since 0',
  ]);
  assert.deepEqual(told([true, true, true, true, false, false, true, false, false, false, false]), [
    '3 firing since 0',
    '10 resolved since 0',
  ]);
});

test('what cannot be told opens nothing and closes nothing, and breaks what had held', () => {
  assert.deepEqual(told([true, true, undefined, true, true, true, true]), ['6 firing since 3']);
  const raised = [true, true, true, true] as const;
  assert.deepEqual(told([...raised, ...Array.from({ length: 50 }, () => undefined)]), ['3 firing since 0']);
  assert.deepEqual(told([...raised, false, false, undefined, false, false, false]), ['3 firing since 0']);
});

test('a time in which nobody looked is no time in which it held', () => {
  assert.deepEqual(told([true, true, true, true, true], 10 * times.every), []);
});

test('alerts begin and end in turn, and none begins without a look that saw it hold', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom<Seen[]>(true, false, undefined)), (seen) => {
      const words = told(seen).map((line) => line.split(' ')[1]);
      assert.ok(words.every((word, index) => word === (index % 2 === 0 ? 'firing' : 'resolved')));
      if (!seen.includes(true)) assert.deepEqual(words, []);
    }),
  );
});

let database: OpenDatabase;
const clock = new VirtualClock();
let seen: Seen = true;
let looks = 0;
const recogniser: Recogniser = {
  name: '/gitea-unreachable/no-answer',
  type: 'gitea-unreachable',
  title: 'Gitea unreachable',
  organization: undefined,
  source: 'gitea.reachable == false',
  ...times,
  labels: {},
  look: async () => {
    looks += 1;
    return { holds: seen, sentence: `seen: ${seen}` };
  },
};
const types: IncidentTypes = {
  calendarFor: () => defaultCalendar,
  forAlert: () => ({
    type: 'gitea-unreachable',
    known: true,
    title: 'Gitea unreachable',
    severity: 'P1',
    scope: ['cluster'],
    runbooks: [],
    guidance: undefined,
  }),
};
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());

/** What the loops of two replicas do in one step, and then the processing. */
async function step(ms: number): Promise<void> {
  await clock.advance(ms);
  const ports = { db: database.db, clock, recognisers: () => [recogniser] };
  await Promise.all([recogniseDue(ports), recogniseDue(ports)]);
  await processAll();
}
async function processAll(): Promise<void> {
  await database.db.transaction().execute(async (tx) => {
    const processed = await processDeliveries(tx, { limit: 10, now: clock.now() });
    const { entries } = await correlate(tx, processed.changes, { types, now: clock.now() });
    await appendRecord(tx, [...processed.entries, ...entries]);
  });
}
const ask = () =>
  checkDue({
    db: database.db,
    clock,
    types,
    oracle: recognitionOracle(database.db, {
      confirmFiring: async () => ({ answer: 'notFiring', sentence: 'not ours' }),
    }),
  });

test('two replicas open one incident, the alert of a monitoring system joins it, and facts end it', async () => {
  for (let i = 0; i < 5; i++) await step(times.every);
  assert.equal(looks, 5, 'each look was taken by one of the two');
  const [incident, ...others] = await listIncidents(database.db, { limit: 10 });
  assert.deepEqual(others, []);
  assert.equal(incident?.severity, 'P1');
  const [alert] = await listAlerts(database.db, { limit: 10 });
  assert.equal(alert?.source, factSource);
  assert.match(alert?.annotations.description ?? '', /gitea\.reachable == false: seen: true/);
  const fired = (await readRecord(database.db, { limit: 10 })).find(({ kind }) => kind === 'alert.fired');
  assert.equal(fired?.actor, 'engine');

  // The same fault, told by Prometheus with the cluster's name.
  const startsAt = new Date(clock.now()).toISOString();
  const told = { status: 'firing', labels: { alertname: 'GiteaUnreachable', cluster: 'hz-fsn' }, startsAt };
  const deliver = async (change: object) => {
    const body = Buffer.from(JSON.stringify({ alerts: [{ ...told, ...change }] }));
    await insertDeliveries(database.db, [
      { receivedAt: clock.now(), source: 'am', organization: undefined, body, traceparent: undefined },
    ]);
    await processAll();
  };
  await deliver({});
  assert.equal((await listIncidents(database.db, { limit: 10 })).length, 1);

  seen = undefined;
  for (let i = 0; i < 6; i++) await step(times.every);
  assert.equal(
    (await listAlerts(database.db, { state: 'Firing', limit: 10 })).length,
    2,
    'nothing is known: nothing ends',
  );
  seen = false;
  await deliver({ status: 'resolved', endsAt: new Date(clock.now()).toISOString() });
  for (let i = 0; i < 5; i++) await step(times.every);
  assert.equal((await listAlerts(database.db, { state: 'Firing', limit: 10 })).length, 0);
  assert.deepEqual(
    (await ask()).map(({ outcome }) => outcome),
    ['ClearOnce'],
  );
  await clock.advance(clearFor);
  assert.deepEqual(
    (await ask()).map(({ outcome }) => outcome),
    ['Clear'],
  );
  const [over] = await listIncidents(database.db, { limit: 1 });
  assert.equal(over?.resolvedHow, 'Checked');
});
