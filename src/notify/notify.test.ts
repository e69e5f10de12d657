import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { appendRecord, readRecord } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { CatalystError } from '../errors.ts';
import { createPage, type Deliver, deliverDue } from './notify.ts';
import { type NewPage, nextAttempt, type Page } from './page.ts';
import { listPages } from './page-store.ts';

let database: OpenDatabase;
let clock: VirtualClock;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());
beforeEach(async () => {
  clock = new VirtualClock();
  await sql`TRUNCATE page`.execute(database.db);
});

const hour = 3_600_000;
const page = (over: Partial<NewPage> = {}): NewPage => ({
  dedupeKey: 'incident/i1/opened',
  receiver: 'oncall',
  severity: 'P1',
  subject: 'OpenBao\nsealed',
  body: 'It does not unseal.',
  incidentId: 'i1',
  ...over,
});
const write = (over: Partial<NewPage> = {}) =>
  database.db.transaction().execute(async (tx) => {
    const written = await createPage(tx, page(over), clock.now());
    await appendRecord(tx, written.entries);
    return written;
  });
const deliverWith = (deliver: Deliver) => deliverDue({ db: database.db, clock, deliver });
async function only(): Promise<Page> {
  const [one] = await listPages(database.db, { limit: 10 });
  assert.ok(one);
  return one;
}

test('a page is written once for one key', async () => {
  const first = await write();
  assert.equal(first.created, true);
  assert.equal(first.page.subject, 'OpenBao sealed');
  const second = await write({ subject: 'again' });
  assert.deepEqual(second, { page: first.page, created: false, entries: [] });
  assert.equal((await listPages(database.db, { limit: 10 })).length, 1);
});

test('a page is delivered once, with its id as the key, and that is on record', async () => {
  const { page: written } = await write();
  const seen: string[] = [];
  const deliver: Deliver = async (receiver, { id }) => {
    seen.push(`${receiver} ${id}`);
  };
  assert.deepEqual(await deliverWith(deliver), { delivered: 1, retried: 0, failed: 0 });
  assert.deepEqual(await deliverWith(deliver), { delivered: 0, retried: 0, failed: 0 });
  assert.deepEqual(seen, [`oncall ${written.id}`]);
  const kept = await only();
  assert.deepEqual(
    [kept.state, kept.attempts, kept.deliveredAt, kept.nextAttemptAt],
    ['Delivered', 1, clock.now(), undefined],
  );
  const entry = (await readRecord(database.db, { incidentId: 'i1', limit: 100 })).at(-1);
  assert.equal(entry?.sentence, 'The page for oncall was delivered after 1 attempt: OpenBao sealed');
});

test('a page nobody takes is tried with growing pauses and given up after a day', async () => {
  await write();
  const waits: number[] = [];
  let last = clock.now();
  const deliver: Deliver = async () => {
    waits.push((clock.now() - last) / 1000);
    last = clock.now();
    throw new CatalystError('UpstreamUnavailable', 'The mail server answered 451.');
  };
  while ((await only()).state === 'Pending') {
    const { nextAttemptAt } = await only();
    await clock.advance((nextAttemptAt ?? 0) - clock.now());
    await deliverWith(deliver);
  }
  assert.deepEqual(waits.slice(0, 10), [0, 5, 10, 20, 40, 80, 160, 320, 600, 600]);
  const kept = await only();
  assert.equal(kept.state, 'Failed');
  assert.equal(Math.round((clock.now() - kept.createdAt) / hour), 24);
  assert.equal(kept.lastError, 'The mail server answered 451.');
  const entry = (await readRecord(database.db, { incidentId: 'i1', limit: 1000 })).at(-1);
  assert.equal(entry?.kind, 'page.failed');
  assert.match(entry?.sentence ?? '', /given up after \d+ attempts: The mail server answered 451/);
});

test('a receiver that does not answer is one failed attempt', async () => {
  await write();
  const asked = Promise.withResolvers<void>();
  const delivering = deliverWith(() => {
    asked.resolve();
    return new Promise(() => {});
  });
  await asked.promise;
  await clock.advance(20_000);
  assert.deepEqual(await delivering, { delivered: 0, retried: 1, failed: 0 });
  assert.equal((await only()).lastError, 'The receiver did not answer within 20 s.');
});

test('what a receiver throws is not quoted: it may hold a token', async () => {
  await write();
  await deliverWith(async () => {
    throw Object.assign(new TypeError('fetch https://x/?token=hunter2 failed'), { code: 'ECONNREFUSED' });
  });
  assert.equal((await only()).lastError, 'The receiver could not be reached (TypeError ECONNREFUSED).');
});

test('one receiver that fails keeps no other page back', async () => {
  await write();
  await write({ dedupeKey: 'other', receiver: 'chat' });
  const ended = await deliverWith(async (receiver) => {
    if (receiver === 'oncall') throw new Error('no');
  });
  assert.deepEqual(ended, { delivered: 1, retried: 1, failed: 0 });
});

test('after a crash in the middle of an attempt the page is sent again, and not before its claim is over', async () => {
  await write();
  const begun = Promise.withResolvers<void>();
  const crash = Promise.withResolvers<void>();
  const first = deliverWith(() => {
    begun.resolve();
    return crash.promise;
  });
  await begun.promise;
  let sent = 0;
  const again: Deliver = async () => {
    sent++;
  };
  assert.deepEqual(await deliverWith(again), { delivered: 0, retried: 0, failed: 0 });
  const claimed = (await only()).nextAttemptAt ?? 0;
  assert.equal(claimed, clock.now() + 60_000);
  // Time moves on for whoever takes over; the first process is stuck and its clock does not matter.
  const later = new VirtualClock(claimed);
  await deliverDue({ db: database.db, clock: later, deliver: again });
  assert.equal(sent, 1);
  crash.resolve();
  assert.deepEqual(await first, { delivered: 0, retried: 0, failed: 0 });
  assert.equal((await only()).attempts, 2);
});

test('a receiver that refuses is asked again every ten minutes, and one that asks for a pause gets it', async () => {
  const waits: number[] = [];
  let last = clock.now();
  const answers = [
    new CatalystError('UpstreamUnavailable', 'Too many.', { details: { retryAfterMs: 90_000 } }),
    new CatalystError('UpstreamUnavailable', 'Too many.', { details: { retryAfterMs: 3_600_000 } }),
    new CatalystError('UpstreamRefused', 'The token is not known.'),
    undefined,
  ];
  await write();
  const deliver: Deliver = async () => {
    waits.push((clock.now() - last) / 1000);
    last = clock.now();
    const error = answers[waits.length - 1];
    if (error) throw error;
  };
  while ((await only()).state === 'Pending') {
    const { nextAttemptAt } = await only();
    await clock.advance((nextAttemptAt ?? 0) - clock.now());
    await deliverWith(deliver);
  }
  assert.deepEqual(waits, [0, 90, 600, 600]);
  assert.equal((await only()).state, 'Delivered', 'the token was mended');
});

test('the clock of the machine is set: no page waits longer for it, and none is given up', async () => {
  await write();
  const failing: Deliver = async () => {
    throw new CatalystError('UpstreamUnavailable', 'Away.');
  };
  await deliverWith(failing);
  const now = clock.now();
  clock = new VirtualClock(now - 24 * hour);
  assert.deepEqual(await deliverWith(failing), { delivered: 0, retried: 1, failed: 0 }, 'set back');
  assert.ok(((await only()).nextAttemptAt ?? 0) <= clock.now() + 10_000);
  clock = new VirtualClock(now + 48 * hour);
  assert.deepEqual(await deliverWith(failing), { delivered: 0, retried: 1, failed: 0 }, 'set ahead');
  clock = new VirtualClock(clock.now() + 20_000);
  assert.deepEqual(await deliverWith(async () => {}), { delivered: 1, retried: 0, failed: 0 });
});

test('the wait grows to ten minutes and never shrinks, and ends after a day of tries', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.boolean(), fc.nat(hour), (attempts, refused, retryAfterMs) => {
      const next = nextAttempt({ attempts }, { refused, retryAfterMs }, 0);
      if (next.kind === 'GiveUp') return assert.ok(attempts >= 150);
      assert.ok(next.at >= 5_000 && next.at <= 600_000);
      const after = nextAttempt({ attempts: attempts + 1 }, { refused, retryAfterMs }, 0);
      assert.ok(after.kind === 'GiveUp' || after.at >= next.at);
    }),
  );
});
