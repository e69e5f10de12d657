/**
 * Handbook §2.4 taken literally, kept to show that it fails: the lease in an eventually consistent key-value store, no
 * epoch, no fence, and a promotion whenever the witness is silent and two of three resolvers do not find the peer.
 *
 * The store is Cloudflare's KV as documented: a time to live of at least 60 s (the handbook's 30 s are refused), a value
 * that other places may see up to 60 s late, and concurrent writes of which the last one stays. In the controllers'
 * favour the holder may renew, which the published example does not even allow.
 */
import { Agenda } from './agenda.ts';
import { chanceOf } from './random.ts';

const ttl = 60_000;
const cacheLasts = 60_000;
const renewEvery = 10_000;

interface Place {
  name: 'fsn' | 'hel';
  active: boolean;
  /** What this place last read from the store, and until when it will be told the same again. */
  cached: string | undefined;
  cachedUntil: number;
  witnessCut: boolean;
  /** Nobody out there reaches it, and it reaches nobody. */
  isolated: boolean;
}

/** Twenty minutes with a few partitions; returns the milliseconds in which both regions were active. */
export function runHandbookLiteral(seed: number): number {
  const agenda = new Agenda();
  const chance = chanceOf(seed);
  const place = (name: Place['name']): Place => ({
    name,
    active: false,
    cached: undefined,
    cachedUntil: 0,
    witnessCut: false,
    isolated: false,
  });
  const places = [place('fsn'), place('hel')] as const;
  let stored: { holder: string; until: number } | undefined;
  let both = 0;
  let since = 0;
  const account = () => {
    if (places[0].active && places[1].active) both += agenda.now - since;
    since = agenda.now;
  };

  const read = (reader: Place): string | undefined => {
    if (agenda.now < reader.cachedUntil) return reader.cached;
    reader.cached = stored && agenda.now < stored.until ? stored.holder : undefined;
    reader.cachedUntil = agenda.now + chance.between(0, cacheLasts);
    return reader.cached;
  };
  const loop = (me: Place, other: Place) => {
    account();
    if (!me.witnessCut && !me.isolated) {
      const holder = read(me);
      me.active = holder === undefined || holder === me.name;
      if (me.active) stored = { holder: me.name, until: agenda.now + ttl };
    } else if (me.isolated || other.isolated) me.active = true;
    // Two of three resolvers "do not find the peer" when the peer is cut off, and also when we are.
    agenda.in(renewEvery * chance.between(0.9, 1.1), () => loop(me, other));
  };
  agenda.in(chance.between(0, 5_000), () => loop(places[0], places[1]));
  agenda.in(chance.between(0, 5_000), () => loop(places[1], places[0]));
  for (let at = 60_000; at < 1_100_000; at += chance.between(30_000, 180_000)) {
    const victim = chance.pick(places);
    const fault = chance.pick(['witnessCut', 'isolated'] as const);
    agenda.in(at, () => {
      victim[fault] = true;
      agenda.in(chance.between(5_000, 90_000), () => {
        victim[fault] = false;
      });
    });
  }
  agenda.runUntil(1_200_000);
  account();
  return both;
}
