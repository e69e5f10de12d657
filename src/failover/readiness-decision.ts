/**
 * Whether a region could take over at once what is given to it now. Asked by the active one before a planned switchover,
 * which closes everything first: a wait that is known beforehand is spent before it, and not with all gates shut. Pure.
 */
import type { CheckResult } from './layers/layer.ts';
import type { FailoverState } from './protocol.ts';

/** What the region that is to take over has to wait for. */
export interface Delay {
  /** ms from now; undefined where nobody can tell. */
  waitMs: number | undefined;
  sentence: string;
}

/** @param epoch that the other region would release, and say is fenced. */
export function handoverDelay(state: FailoverState, at: number, epoch: number): Delay | undefined {
  const { fence, promise, settings } = state;
  if (fence && !fence.confirmed) {
    const names = Object.keys(fence.pending).join(', ');
    return { waitMs: undefined, sentence: `${settings.region} takes nothing over before it is fenced: ${names}.` };
  }
  // A promise for the epoch that is released ends with it. One from before a start is for any epoch, and does not.
  if (!promise || at >= promise.until || promise.epoch <= epoch) return undefined;
  const sentence = `${settings.region} has just started, and what it may have promised before binds it.`;
  return { waitMs: Math.ceil(promise.until - at), sentence };
}

/** With how long to wait, for whoever asks for the switchover. */
export function delaySentence({ waitMs, sentence }: Delay): string {
  return waitMs === undefined ? sentence : `${sentence} Ask again in ${Math.ceil(waitMs / 1000)} s.`;
}

/** Told, as a takeover of a lost region must not fail for it; a switchover asks again at the moment it counts. */
export function peerReadyCheck(peer: string, heard: Delay | 'ready' | 'silent'): CheckResult {
  const check = 'peer-ready';
  if (heard === 'ready') return { check, verdict: 'passed', sentence: `${peer} could take over at once.` };
  if (heard === 'silent')
    return { check, verdict: 'unknown', sentence: `${peer} does not say whether it could take over.`, advice: true };
  return { check, verdict: 'failed', sentence: delaySentence(heard), advice: true };
}
