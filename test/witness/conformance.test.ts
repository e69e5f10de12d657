/** The suite on the store in memory, and on stores that must not pass: it is worth what it refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, systemClock } from '../../src/clock.ts';
import { type Lease, sameVersion } from '../../src/failover/lease.ts';
import { createMemoryWitness, type MemoryRegister } from '../../src/failover/witness/memory.ts';
import type { Witness } from '../../src/failover/witness/witness.ts';
import { conforms, newGroup, resultsOf, type Store } from './suite.ts';

const memory = (): Store => {
  const register: MemoryRegister = new Map();
  return { url: '', open: (name) => createMemoryWitness(name, register, systemClock) };
};
const shared = memory();
conforms('memory', async () => shared, { tellsExpiry: true, remote: false });

/** Names of the checks that a store fails. */
async function failed(open: (name: string) => Witness, clock = systemClock): Promise<string[]> {
  return (await resultsOf(open, newGroup(), clock))
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ name }) => name);
}

/**
 * A store as Cloudflare KV describes itself: reads come from the nearest copy, writes overwrite each other and reach the
 * other copies later. The compare-and-set is the only one such a store allows: read, compare, put.
 */
function kvLike(delayMs: number): (name: string) => Witness {
  const copies = new Map<string, Map<string, Lease>>();
  const copyOf = (place: string) => copies.get(place) ?? copies.set(place, new Map()).get(place) ?? new Map();
  return (place) => {
    const here = copyOf(place);
    const get = async (group: string) => {
      await systemClock.sleep(1);
      return here.get(group);
    };
    return {
      name: place,
      read: async (group) => ({ lease: await get(group), expired: undefined }),
      compareAndSet: async (group, expect, next) => {
        const current = await get(group);
        if (!sameVersion(current, expect)) return { result: 'conflict', current };
        here.set(group, next);
        void systemClock.sleep(delayMs).then(() => {
          for (const copy of copies.values()) copy.set(group, next);
        });
        return { result: 'applied' };
      },
      close: async () => {},
    };
  };
}

test('a store as eventually consistent as KV is refused, and the reasons are its own', async () => {
  const names = await failed(kvLike(30));
  assert.ok(names.includes('one of many concurrent acquisitions wins'), String(names));
  assert.ok(names.includes('a write is seen by everybody as soon as it is answered'), String(names));
});

test('even a single copy is refused when it compares first and writes later', async () => {
  const names = await failed(kvLike(0));
  assert.ok(names.includes('one of many concurrent acquisitions wins'), String(names));
});

/** Stores with one fault each, over a good one. */
const faults: [string, (witness: Witness) => Partial<Witness>, string][] = [
  [
    'applies whatever it is given, as a server that ignores If-Match does',
    (witness) => ({
      compareAndSet: async (group, _expect, next, context) => {
        const { lease } = await witness.read(group, context);
        await witness.compareAndSet(
          group,
          lease,
          { ...next, seq: (lease?.seq ?? 0) + 1, epoch: Math.max(next.epoch, lease?.epoch ?? 0) },
          context,
        );
        return { result: 'applied' };
      },
    }),
    'a write over a version that was replaced is refused, with what is there',
  ],
  [
    'compares the epoch alone',
    (witness) => ({
      compareAndSet: async (group, expect, next, context) => {
        const { lease } = await witness.read(group, context);
        const basis = lease && expect && lease.epoch === expect.epoch ? lease : expect;
        return witness.compareAndSet(group, basis, { ...next, seq: (basis?.seq ?? 0) + 1 }, context);
      },
    }),
    'a renewal that comes twice is applied once, and is recognised by its nonce',
  ],
  [
    'tells every writer that it has won',
    (witness) => ({
      compareAndSet: async (...call) => {
        await witness.compareAndSet(...call);
        return { result: 'applied' };
      },
    }),
    'one of many concurrent acquisitions wins',
  ],
  [
    'hides who holds the lease',
    (witness) => ({
      compareAndSet: async (...call) => {
        const answer = await witness.compareAndSet(...call);
        return answer.result === 'conflict' ? { result: 'conflict', current: undefined } : answer;
      },
    }),
    'a renewal that comes after a takeover is refused',
  ],
  [
    'lets nothing expire',
    (witness) => ({ read: async (...call) => ({ ...(await witness.read(...call)), expired: false }) }),
    'a lease expires by the clock of the witness',
  ],
  [
    'forgets the payload',
    (witness) => ({
      compareAndSet: (group, expect, next, context) =>
        witness.compareAndSet(group, expect, { ...next, payload: null }, context),
    }),
    'a lease keeps its content',
  ],
];
for (const [what, fault, check] of faults)
  test(`a store that ${what} is refused`, async () => {
    const { open } = memory();
    // What waits for an expiry that never comes need not wait by the clock.
    const impatient: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms === 100 ? 0 : ms, signal) };
    const names = await failed((name) => {
      const witness = open(name);
      return { ...witness, ...fault(witness) };
    }, impatient);
    assert.ok(names.includes(check), String(names));
  });

test('a store that caches what it once read is refused', async () => {
  const { open } = memory();
  const names = await failed((name) => {
    const witness = open(name);
    const cache = new Map<string, { at: number; answer: ReturnType<Witness['read']> }>();
    return {
      ...witness,
      read: (group, context) => {
        const cached = cache.get(group);
        if (cached && systemClock.monotonic() - cached.at < 200) return cached.answer;
        const answer = witness.read(group, context);
        cache.set(group, { at: systemClock.monotonic(), answer });
        return answer;
      },
    };
  });
  assert.ok(names.includes('a write is seen by everybody as soon as it is answered'), String(names));
});

test('a store that cannot be reached fails every check with the reason', async () => {
  const results = await resultsOf((name) => ({
    ...shared.open(name),
    read: () => Promise.reject(new Error('connection refused')),
  }));
  assert.ok(results.length > 0);
  for (const { outcome, sentence } of results) {
    assert.equal(outcome, 'failed');
    assert.match(sentence, /connection refused/);
  }
});
