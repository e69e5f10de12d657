/** The suite that every witness store passes: the conformance checks, and what becomes of a lost answer. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import type { Lease, LeaseVersion } from '../../src/failover/lease.ts';
import { type CheckResult, checkConformance } from '../../src/failover/witness/conformance.ts';
import type { Witness } from '../../src/failover/witness/witness.ts';
import { layCable } from '../cable.ts';

export interface Store {
  /** Opens a client of its own connection; `url` replaces the store's own address, to put something in between. */
  open(name: string, url?: string): Witness;
  /** Where the store listens. */
  url: string;
}

export interface StoreOptions {
  /** The store dates writes by its own clock. */
  tellsExpiry: boolean;
  /** It is reached over TCP, so that answers can be lost. Default true. */
  remote?: boolean;
}

export const newGroup = (): string => `g${randomBytes(6).toString('hex')}`;
export const patient = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(30_000) });

export function leaseOf(group: string, before: LeaseVersion | undefined, more: Partial<Lease> = {}): Lease {
  return {
    group,
    holder: 'fsn',
    epoch: before?.epoch ?? 1,
    seq: (before?.seq ?? 0) + 1,
    ttlMs: 30_000,
    nonce: randomBytes(8).toString('hex'),
    acquiredBy: { mode: 'Automatic', actor: 'fsn', reason: 'test' },
    payload: null,
    ...more,
  };
}

/** Runs the conformance checks once on a group and returns what each said. */
export async function resultsOf(
  open: (name: string) => Witness,
  group = newGroup(),
  clock = systemClock,
): Promise<readonly CheckResult[]> {
  const run = randomBytes(6).toString('hex');
  const signal = AbortSignal.timeout(120_000);
  return (await checkConformance({ group, holder: 'fsn', open, clock, run, signal })).results;
}

/** Registers the tests of a store; `store` is asked for when they run. */
export function conforms(name: string, store: () => Promise<Store>, options: StoreOptions): void {
  test(`${name}: conforms, from an empty register and from a used one`, async () => {
    const { open } = await store();
    const group = newGroup();
    for (const start of ['empty', 'used']) {
      const results = await resultsOf((client) => open(client), group);
      for (const { name: check, outcome, sentence } of results) {
        const expected = check.includes('expires by the clock') && !options.tellsExpiry ? 'cannot-tell' : 'passed';
        assert.equal(outcome, expected, `${start}: ${check}: ${sentence}`);
      }
    }
  });

  test(`${name}: an empty register is created once, by one of many`, async () => {
    const { open } = await store();
    const group = newGroup();
    const clients = [open('a'), open('b')] as const;
    assert.deepEqual((await clients[0].read(group, patient())).lease, undefined);
    const leases = Array.from({ length: 12 }, () => leaseOf(group, undefined));
    const answers = await Promise.all(
      leases.map((lease, i) => clients[i % 2 === 0 ? 0 : 1].compareAndSet(group, undefined, lease, patient())),
    );
    const winners = leases.filter((_, i) => answers[i]?.result === 'applied');
    assert.equal(winners.length, 1);
    for (const answer of answers)
      if (answer.result === 'conflict') assert.deepEqual(answer.current, winners[0], 'a refusal shows the winner');
    // A version of the future is as wrong as one of the past.
    const future = leaseOf(group, { epoch: 5, seq: 70 });
    assert.equal((await clients[1].compareAndSet(group, { epoch: 5, seq: 70 }, future, patient())).result, 'conflict');
    for (const client of clients) await client.close();
  });

  test(`${name}: what cannot be a lease is refused before it is sent`, async () => {
    const { open } = await store();
    const group = newGroup();
    const witness = open('a');
    const first = leaseOf(group, undefined);
    const write = (expect: LeaseVersion | undefined, next: Lease) =>
      witness.compareAndSet(group, expect, next, patient());
    await assert.rejects(write(undefined, { ...first, payload: 'x'.repeat(20_000) }), /more than 16384/);
    await assert.rejects(write({ epoch: 1, seq: 4 }, { ...first, seq: 4 }), /does not follow/);
    await assert.rejects(write(undefined, { ...first, group: 'another' }), /group is not/);
    await assert.rejects(write(undefined, { ...first, holder: 'Not A Label' }), /holder/);
    await assert.rejects(witness.compareAndSet('../x', undefined, { ...first, group: '../x' }, patient()), /DNS label/);
    assert.equal((await witness.read(group, patient())).lease, undefined);
    await witness.close();
  });

  test(`${name}: a caller who has given up gets an error`, async () => {
    const { open } = await store();
    const group = newGroup();
    const witness = open('a');
    const signal = AbortSignal.abort(new Error('given up'));
    await assert.rejects(witness.read(group, { signal }));
    await assert.rejects(witness.compareAndSet(group, undefined, leaseOf(group, undefined), { signal }));
    await witness.close();
  });

  if (options.remote === false) return;
  test(`${name}: a lost answer is an error and never a conflict, and the write is recognised by its nonce`, async (t) => {
    const { open, url } = await store();
    const cable = await layCable(url);
    // Also when the test fails: an open listener would keep the process from ending.
    t.after(() => cable.close());
    const group = newGroup();
    const direct = open('direct');
    const first = leaseOf(group, undefined);
    await direct.compareAndSet(group, undefined, first, patient());
    const behind = open('behind', cable.url);
    // Connected and logged in, so that it is the write whose answer is held back.
    assert.deepEqual((await behind.read(group, patient())).lease, first);
    const second = leaseOf(group, first);
    const limit = new AbortController();
    cable.hold();
    const outcome = behind.compareAndSet(group, first, second, { signal: limit.signal }).then(
      () => assert.fail('an answer that never came was made up'),
      (error: unknown) => error,
    );
    await cable.sent();
    // The write is either applied soon, or (a store that must be asked first, and whose answer is held) not at all.
    for (let i = 0; i < 20; i++) {
      if ((await direct.read(group, patient())).lease?.nonce === second.nonce) break;
      await systemClock.sleep(10);
    }
    limit.abort(new Error('the limit of time has run out'));
    assert.ok((await outcome) instanceof Error);
    cable.cut();
    const { lease } = await direct.read(group, patient());
    assert.ok(lease?.nonce === first.nonce || lease?.nonce === second.nonce);
    const again = await behind.compareAndSet(group, first, second, patient());
    // A store on a busy machine may apply the first write after we looked: a conflict then, too, and with nobody but ourselves.
    if (again.result === 'applied') assert.equal(lease?.nonce, first.nonce);
    else assert.ok(again.result === 'conflict' && again.current?.nonce === second.nonce, 'its own write, recognised');
    await cable.close();
    // Unreachable is an error too, for reads and for writes.
    await assert.rejects(behind.read(group, patient()));
    await assert.rejects(behind.compareAndSet(group, second, leaseOf(group, second), patient()));
    for (const client of [direct, behind]) await client.close();
  });
}
