/**
 * The independent observer of a drill: asks both regions all the time, as a client would, and decides from the answers
 * alone whether two regions were active. It knows nothing of leases.
 */
import type { Clock } from '../../clock.ts';

/** An answer of a protected workload, with the times of the question and the answer (ms of one clock). */
export interface Served {
  region: string;
  epoch: number;
  askedAt: number;
  answeredAt: number;
}

/**
 * Whether the answers show two regions active: an epoch answered by both, or an answer of an older epoch to a question
 * that was asked after a newer epoch had answered. Undefined when they do not. Pure.
 */
export function twoActive(answers: readonly Served[]): string | undefined {
  const regionOf = new Map<number, string>();
  for (const { epoch, region } of answers) {
    const other = regionOf.get(epoch);
    if (other !== undefined && other !== region) return `${other} and ${region} both served epoch ${epoch}.`;
    regionOf.set(epoch, region);
  }
  const inOrder = [...answers].sort((a, b) => a.answeredAt - b.answeredAt);
  for (const late of answers) {
    const newer = inOrder.find((one) => one.epoch > late.epoch && one.answeredAt < late.askedAt);
    if (newer)
      return `${late.region} served epoch ${late.epoch} ${Math.round(late.askedAt - newer.answeredAt)} ms after ${newer.region} had served epoch ${newer.epoch}.`;
  }
  return undefined;
}

/** The longest time between two answers in a row, whoever gave them, ms; and when it began. */
export function longestSilence(answers: readonly Served[]): { ms: number; from: number } {
  let longest = { ms: 0, from: 0 };
  const times = answers.map(({ answeredAt }) => answeredAt).sort((a, b) => a - b);
  for (const [i, time] of times.entries()) {
    const before = times[i - 1];
    if (before !== undefined && time - before > longest.ms) longest = { ms: time - before, from: before };
  }
  return longest;
}

export interface Observer {
  answers: readonly Served[];
  /** Who answered within the last half second. */
  serving(): string | undefined;
  stop(): Promise<void>;
}

/** Between questions to one region, ms. */
const askEveryMs = 50;
const askLimitMs = 1_000;
/** Nobody serves once there was no answer for so long, ms: ten questions. */
const silentMs = 500;

export function startObserver(
  regions: readonly { name: string; url: string }[],
  clock: Clock,
  onChange: (serving: string | undefined) => void,
): Observer {
  const answers: Served[] = [];
  const stopping = new AbortController();
  const last = () => answers.at(-1);
  const serving = () => {
    const newest = last();
    return newest && clock.monotonic() - newest.answeredAt <= silentMs ? newest.region : undefined;
  };
  let shown: string | undefined;
  const show = () => {
    const now = serving();
    if (now !== shown) onChange(now);
    shown = now;
  };
  const loops = regions.map(async ({ name, url }) => {
    while (!stopping.signal.aborted) {
      const askedAt = clock.monotonic();
      const epoch = await ask(url, stopping.signal).catch(() => undefined);
      if (epoch !== undefined) answers.push({ region: name, epoch, askedAt, answeredAt: clock.monotonic() });
      show();
      await clock.sleep(askEveryMs, stopping.signal).catch(() => {});
    }
  });
  return {
    answers,
    serving,
    stop: async () => {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

/** A gate, and a workload that asked it, say by it under which epoch they answer. */
export const epochHeader = 'x-failover-epoch';

/** The epoch a workload served under. A connection for each question: an old one must not outlive its gate unnoticed. */
async function ask(url: string, signal: AbortSignal): Promise<number | undefined> {
  const response = await fetch(url, {
    headers: { connection: 'close' },
    signal: AbortSignal.any([signal, AbortSignal.timeout(askLimitMs)]),
  });
  await response.arrayBuffer();
  return response.ok ? Number(response.headers.get(epochHeader)) : undefined;
}
