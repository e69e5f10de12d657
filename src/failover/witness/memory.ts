/** A register in this process: for tests, simulations and drills. Several handles may share one {@link MemoryRegister}. */
import type { Clock } from '../../clock.ts';
import { type Lease, sameVersion } from '../lease.ts';
import { writableText } from './lease-text.ts';
import type { Witness } from './witness.ts';

/** Lease text and the time of its write on the register's clock, by group. */
export type MemoryRegister = Map<string, { text: string; writtenAt: number }>;

export function createMemoryWitness(name: string, register: MemoryRegister, clock: Clock): Witness {
  const held = (group: string): Lease | undefined => {
    const entry = register.get(group);
    return entry && (JSON.parse(entry.text) as Lease);
  };
  return {
    name,
    read: async (group, { signal }) => {
      signal.throwIfAborted();
      const entry = register.get(group);
      if (entry === undefined) return { lease: undefined, expired: undefined };
      const lease = JSON.parse(entry.text) as Lease;
      return { lease, expired: clock.monotonic() - entry.writtenAt > lease.ttlMs };
    },
    compareAndSet: async (group, expect, next, { signal }) => {
      signal.throwIfAborted();
      const text = writableText(group, expect, next);
      const current = held(group);
      if (!sameVersion(current, expect)) return { result: 'conflict', current };
      register.set(group, { text, writtenAt: clock.monotonic() });
      return { result: 'applied' };
    },
    close: async () => {},
  };
}
