/**
 * Until when a region may serve. Everything is counted from the SEND of what was later acknowledged: at that moment the
 * witness had not yet started to count, so counting from here can only end earlier.
 */
import type { FailoverSettings, FailoverState, Hold, Layer } from './protocol.ts';
import { never } from './turn.ts';

/** How many of `of` make a majority: 1 of 1, 2 of 3. */
export function majority(of: number): number {
  return Math.floor(of / 2) + 1;
}

/** The time up to which a majority has acknowledged: the newest of one, the second newest of three. */
export function leaseBase({ witnesses }: FailoverSettings, { acks }: Pick<Hold, 'acks'>): number {
  if (witnesses.length === 1) return acks[witnesses[0] as string] ?? never;
  const times = witnesses.map((witness) => acks[witness] ?? never).sort((a, b) => b - a);
  return times[majority(witnesses.length) - 1] ?? never;
}

/** What the data may rely on: the lease, or the peer's promise not to take it. */
export function strictBase(settings: FailoverSettings, hold: Hold): number {
  return Math.max(leaseBase(settings, hold), hold.promisedAt);
}

/** Whether this layer may also rely on resolvers that see us. */
export function mayUseResolvers({ dnsFallback }: FailoverSettings, hold: Hold, layer: Layer): boolean {
  if (hold.kind === 'unwitnessed' || dnsFallback === 'continue') return true;
  return dnsFallback === 'continue-stateless' && layer !== 'stateful';
}

/** From here on the layer is fenced in an orderly way. */
export function softAt(settings: FailoverSettings, hold: Hold, layer: Layer): number {
  const { softMs, dnsSoftMs } = settings.parameters;
  const strict = strictBase(settings, hold) + softMs;
  return mayUseResolvers(settings, hold, layer) ? Math.max(strict, hold.seenByResolversAt + dnsSoftMs) : strict;
}

/** From here on the layer's gate refuses by itself. */
export function hardAt(settings: FailoverSettings, hold: Hold, layer: Layer): number {
  const { hardMs, dnsHardMs } = settings.parameters;
  const strict = strictBase(settings, hold) + hardMs;
  return mayUseResolvers(settings, hold, layer) ? Math.max(strict, hold.seenByResolversAt + dnsHardMs) : strict;
}

/** How far apart two rounds of questions may be for nothing to have happened in between, ms: one round is late by a try. */
export function longestGapMs({ parameters }: FailoverSettings): number {
  return parameters.dnsSampleMs + parameters.retryMs;
}

/** For how long resolvers have called the peer dead without a break, ms. Answers that have stopped coming say nothing. */
export function peerDeadMs({ peerDeadSince, votedAt, settings }: FailoverState, at: number): number {
  if (peerDeadSince === undefined || at - votedAt > longestGapMs(settings)) return 0;
  return at - peerDeadSince;
}
