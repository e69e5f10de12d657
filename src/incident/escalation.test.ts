/** Escalation over the database and the outbox of pages, with receivers that may be down and a clock that is set. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { readRecord } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { CatalystError } from '../errors.ts';
import { newId } from '../ids.ts';
import { createPage, deliverDue } from '../notify/notify.ts';
import { deliveredBegunWith, listPages } from '../notify/page-store.ts';
import { newIncident } from './correlate.ts';
import { type EscalationPorts, escalateDue } from './escalation.ts';
import type { EscalationStep } from './escalation-decision.ts';
import type { Incident } from './incident.ts';
import { plainTypes } from './incident-fixture.ts';
import { createIncidentService } from './incident-service.ts';
import { getIncident, saveIncidents } from './incident-store.ts';
import { defaultCalendar } from './response-clock.ts';
import { createStopwatch } from './response-stopwatch.ts';

/** A machine whose clock can be set; time passes all the same. */
class SettableClock extends VirtualClock {
  #ahead = 0;
  override now(): number {
    return super.now() + this.#ahead;
  }
  set(by: number): void {
    this.#ahead += by;
  }
}

let database: OpenDatabase;
let clock: SettableClock;
let down: Set<string>;
/** Every page that left, as its receiver saw it. */
let told: string[];
let onCall: string[];
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());
beforeEach(async () => {
  clock = new SettableClock();
  [down, told, onCall] = [new Set(), [], ['mira']];
  await sql`TRUNCATE incident, page`.execute(database.db);
});

const minute = 60_000;
const actor = 'user/sre';
const policy: { name: string; steps: EscalationStep[] } = {
  name: 'urgent',
  steps: [
    { after: 2 * minute, notify: [{ schedule: 'sre' }] },
    { after: 10 * minute, notify: [{ receiver: 'lead' }] },
    { after: 5 * 60 * minute, notify: [{ receiver: 'everybody' }] },
  ],
};

/** A replica as it starts: it has seen no clock yet. */
function replica(declared: typeof policy | null = policy, own = clock): EscalationPorts {
  return {
    db: database.db,
    clock: own,
    stopwatch: createStopwatch(own),
    policyOf: () => declared ?? undefined,
    receiversOf: (target) =>
      'receiver' in target
        ? { receivers: [target.receiver] }
        : { receivers: onCall, gap: onCall.length === 0 ? 'Nobody is on call in sre.' : undefined },
    defaultReceiver: 'default',
    page: async (tx, page, now) => (await createPage(tx, page, now)).entries,
    reached: deliveredBegunWith,
  };
}
const serviceOf = (escalation: EscalationPorts) =>
  createIncidentService({ db: database.db, clock, escalation, types: plainTypes });

async function open(change: Partial<Incident> = {}): Promise<Incident> {
  const now = clock.now();
  const match = plainTypes.forAlert({ type: 'OpenBaoSealed', severity: 'critical' }, undefined);
  const about = { key: newId(now), title: 'OpenBao is sealed', calendar: defaultCalendar };
  const incident: Incident = {
    ...newIncident(undefined, match, about, now),
    respondBy: now + 15 * minute,
    // Whether its alerts still fire is not what is tested here.
    checkAt: undefined,
    ...change,
  };
  await database.db.transaction().execute((tx) => saveIncidents(tx, [incident]));
  return incident;
}
async function read({ id }: { id: string }): Promise<Incident> {
  const incident = await getIncident(database.db, id);
  assert.ok(incident);
  return incident;
}
const sentences = async ({ id }: { id: string }) =>
  (await readRecord(database.db, { incidentId: id, limit: 100 }))
    .filter((entry) => entry.kind === 'incident.escalated')
    .map((entry) => `${entry.actor}: ${entry.sentence}`);

/** One round of the loops. */
async function round(...replicas: EscalationPorts[]): Promise<void> {
  for (const one of replicas) while ((await escalateDue(one)) > 0);
  await deliverDue({
    db: database.db,
    clock,
    deliver: async (receiver, page) => {
      if (down.has(receiver)) throw new CatalystError('UpstreamUnavailable', `${receiver} is away.`);
      told.push(`${receiver} ${page.id}`);
    },
  });
}
/** Lets time pass in steps, as the loops do; a long time in long ones. */
async function passes(ms: number, ...replicas: EscalationPorts[]): Promise<void> {
  const step = ms > 30 * minute ? 5 * minute : 15_000;
  for (let gone = 0; gone < ms; gone += step) {
    await clock.advance(step);
    await round(...replicas);
  }
}
const who = () => told.map((line) => line.split(' ')[0]);

test('pages the steps of the policy at their times, each once, until somebody acknowledges', async () => {
  const one = replica();
  const incident = await open();
  await round(one);
  assert.deepEqual(who(), [], 'automation goes first');
  await passes(3 * minute, one);
  assert.deepEqual(who(), ['mira']);
  await passes(9 * minute, one);
  assert.deepEqual(who(), ['mira', 'lead']);
  const [, page] = await listPages(database.db, { limit: 10 });
  assert.match(page?.body ?? '', /to be acknowledged by/);
  await serviceOf(one).acknowledge({ incidentId: incident.id, actor });
  await passes(6 * 60 * minute, one);
  assert.deepEqual(who(), ['mira', 'lead']);
  assert.equal((await read(incident)).escalateAt, undefined);
});

test('tells everybody who is left when the response time runs out, once (handbook §13.1)', async () => {
  const one = replica();
  const incident = await open();
  await passes(5 * 60 * minute, one);
  assert.deepEqual(who(), ['mira', 'lead', 'everybody']);
  const [page] = await listPages(database.db, { limit: 10 });
  assert.match(page?.body ?? '', /Nobody acknowledged it by/);
  const { escalatedAt, respondBy, escalateAt } = await read(incident);
  assert.equal(escalateAt, undefined);
  assert.ok(escalatedAt !== undefined && escalatedAt >= respondBy && escalatedAt <= respondBy + 5 * minute);
  assert.equal((await sentences(incident)).length, 4);
});

test('a receiver that is down: tried again and again, then the next person is called, early', async () => {
  down.add('mira');
  const one = replica();
  const incident = await open();
  await passes(2 * minute + 45_000, one);
  assert.deepEqual(who(), []);
  await passes(30_000, one);
  assert.deepEqual(who(), ['lead']);
  const [page, first] = await listPages(database.db, { limit: 10 });
  assert.match(page?.body ?? '', /The one before you could not be reached/);
  assert.ok((first?.attempts ?? 0) >= 4);
  down.delete('mira');
  await passes(10 * minute, one);
  assert.equal(who().filter((receiver) => receiver === 'mira').length, 1, 'told once it is back');
  assert.match(
    (await sentences(incident))[1] ?? '',
    /taken, early, because the step before reached nobody: lead is told/,
  );
});

test('nobody on call, or no policy at all: the default receiver is told, and the record says why', async () => {
  onCall = [];
  const incident = await open();
  await passes(3 * minute, replica());
  assert.deepEqual(who(), ['default']);
  assert.match((await sentences(incident))[0] ?? '', /default is told\. Nobody is on call in sre\.$/);
  await sql`TRUNCATE incident`.execute(database.db);
  told = [];
  await open();
  await passes(16 * minute, replica(null));
  assert.deepEqual(who(), ['default']);
});

test('a person who asks for help has the next step paged, and the one after it when that reaches nobody', async () => {
  const one = replica();
  const incident = await open();
  await round(one);
  const service = serviceOf(one);
  await service.acknowledge({ incidentId: incident.id, actor });
  await service.escalate({ incidentId: incident.id, actor, comment: 'needs the network team' });
  await round(one);
  assert.deepEqual(who(), ['mira']);
  const [page] = await listPages(database.db, { limit: 10 });
  assert.equal(page?.body, 'user/sre asks for you: needs the network team');
  await passes(6 * 60 * minute, one);
  assert.deepEqual(who(), ['mira'], 'somebody is on it, and the page arrived');
  down.add('lead');
  await service.escalate({ incidentId: incident.id, actor });
  await passes(2 * minute, one);
  assert.deepEqual(who(), ['mira', 'everybody']);
  await service.escalate({ incidentId: incident.id, actor, comment: 'still alone' });
  await service.escalate({ incidentId: incident.id, actor, comment: 'really' });
  await round(one);
  assert.deepEqual(who(), ['mira', 'everybody', 'default', 'default']);
  assert.deepEqual(
    (await sentences(incident)).map((line) => line.split('. ')[0]),
    [
      'user/sre: user/sre asked for the next step (needs the network team)',
      'user/sre: user/sre asked for the next step',
      'engine: Step 3 of urgent was taken, early, because the step before reached nobody: everybody is told.',
      'user/sre: user/sre asked for the next step (still alone)',
      'user/sre: user/sre asked for the next step (really)',
    ],
  );
  assert.equal((await read(incident)).acknowledgedBy, actor);
});

test('a step asked for before its time is not taken again at its time', async () => {
  const one = replica();
  const incident = await open();
  await serviceOf(one).escalate({ incidentId: incident.id, actor });
  await passes(9 * minute, one);
  assert.deepEqual(who(), ['mira']);
  await passes(2 * minute, one);
  assert.deepEqual(who(), ['mira', 'lead']);
});

test('the clock of the machine is set ahead: nobody is called before their time', async () => {
  const one = replica();
  await open();
  await round(one);
  clock.set(24 * 60 * minute);
  await passes(minute, one);
  assert.deepEqual(who(), []);
  await passes(minute, one);
  assert.deepEqual(who(), ['mira']);
  clock.set(24 * 60 * minute);
  await passes(7 * minute, one);
  assert.deepEqual(who(), ['mira']);
  await passes(minute, one);
  assert.deepEqual(who(), ['mira', 'lead']);
  clock.set(24 * 60 * minute);
  await passes(4 * minute, one);
  assert.deepEqual(who(), ['mira', 'lead']);
  await passes(minute, one);
  assert.deepEqual(who(), ['mira', 'lead', 'everybody']);
});

test('the clock of the machine is set back: everybody is called at their time', async () => {
  const one = replica();
  const incident = await open();
  await round(one);
  clock.set(-24 * 60 * minute);
  await passes(2 * minute, one);
  assert.deepEqual(who(), ['mira']);
  clock.set(-24 * 60 * minute);
  down.add('lead');
  await passes(9 * minute + 15_000, one);
  assert.deepEqual(who(), ['mira', 'everybody'], 'also whether a step reached somebody is found out in time');
  await passes(5 * minute, one);
  assert.notEqual((await read(incident)).escalatedAt, undefined);
  const later = await open();
  await passes(2 * minute, one);
  assert.deepEqual(who().slice(-1), ['mira'], 'an incident that is opened afterwards');
  assert.equal((await read(later)).escalationStep, 1);
});

test('two replicas, one with a wrong clock: each step is taken once, at its time', async () => {
  const wrong = new SettableClock(clock.now());
  const replicas = [replica(), replica(policy, wrong)];
  await round(...replicas);
  wrong.set(60 * minute);
  await open();
  const together = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 15_000) {
      await wrong.advance(15_000);
      await passes(15_000, ...replicas);
    }
  };
  await together(minute + 45_000);
  assert.deepEqual(who(), []);
  await together(15 * minute);
  assert.deepEqual(who(), ['mira', 'lead', 'everybody']);
});

test('a crash in the middle of a step leaves neither the step nor a page behind, and the step is taken later', async () => {
  const one = replica();
  const incident = await open();
  await clock.advance(2 * minute);
  const crashing = {
    ...one,
    page: async (...args: Parameters<EscalationPorts['page']>) => {
      await one.page(...args);
      throw new Error('crash');
    },
  };
  await assert.rejects(escalateDue(crashing), /crash/);
  assert.deepEqual(await listPages(database.db, { limit: 10 }), []);
  assert.equal((await read(incident)).escalationStep, 0);
  await round(replica());
  assert.deepEqual(who(), ['mira']);
});

test('two people acknowledge at once: one is first, and the other is told who', async () => {
  const service = serviceOf(replica());
  const incident = await open();
  const both = await Promise.allSettled(
    ['user/mira', 'user/jo'].map((name) =>
      service.acknowledge({ incidentId: incident.id, actor: name, expectedVersion: 1 }),
    ),
  );
  const first = both.findIndex(({ status }) => status === 'fulfilled');
  const second = both[1 - first];
  const name = ['user/mira', 'user/jo'][first];
  assert.ok(second?.status === 'rejected' && second.reason instanceof CatalystError);
  assert.equal(second.reason.status, 409);
  assert.match(second.reason.message, new RegExp(`^${name} acknowledged it first, at 2026-`));
  assert.deepEqual([second.reason.details.acknowledgedBy, second.reason.details.version], [name, 2]);
  assert.equal((await read(incident)).acknowledgedBy, name);
  const again = await service.acknowledge({ incidentId: incident.id, actor: name ?? '' });
  assert.equal(again.version, 2, 'once more changes nothing');
});
