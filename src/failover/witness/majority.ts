/**
 * Three witnesses instead of one. A majority is counted by the protocol, which knows when each question was sent; here
 * each witness is only asked by itself, within a limit, and what it answers is told as it comes.
 */
import type { Clock } from '../../clock.ts';
import { CatalystError, messageOf } from '../../errors.ts';
import type { Witness, WitnessContext } from './witness.ts';

export interface WitnessAnswer<T> {
  witness: string;
  /** Time from the question to the answer, ms. */
  tookMs: number;
  /** What it answered, or why that is not known. */
  outcome: { answer: T } | { error: CatalystError };
}

export interface Asking {
  clock: Clock;
  /** How long each witness may take, ms. */
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * Asks every witness at once, and tells each answer as it comes. Resolves when all have answered or their time is over;
 * never rejects, because one that cannot be reached must not hide what the others say.
 */
export async function askEach<T>(
  witnesses: readonly Witness[],
  question: (witness: Witness, context: WitnessContext) => Promise<T>,
  asking: Asking,
  onAnswer: (answer: WitnessAnswer<T>) => void = () => {},
): Promise<WitnessAnswer<T>[]> {
  return Promise.all(
    witnesses.map(async (witness) => {
      const answer = await askOne(witness, question, asking);
      onAnswer(answer);
      return answer;
    }),
  );
}

async function askOne<T>(
  witness: Witness,
  question: (witness: Witness, context: WitnessContext) => Promise<T>,
  { clock, timeoutMs, signal }: Asking,
): Promise<WitnessAnswer<T>> {
  const started = clock.monotonic();
  const limit = new AbortController();
  const over = new AbortController();
  // Both: a store that does not listen to its signal is not waited for.
  const late = clock.sleep(timeoutMs, over.signal).then(() => {
    const error = new CatalystError('TimedOut', `witness ${witness.name} did not answer within ${timeoutMs} ms`, {
      certain: false,
    });
    limit.abort(error);
    throw error;
  });
  late.catch(() => {});
  try {
    const answer = await Promise.race([question(witness, { signal: AbortSignal.any([signal, limit.signal]) }), late]);
    return { witness: witness.name, tookMs: clock.monotonic() - started, outcome: { answer } };
  } catch (error) {
    return {
      witness: witness.name,
      tookMs: clock.monotonic() - started,
      outcome: { error: unknownOutcome(witness.name, error) },
    };
  } finally {
    over.abort();
  }
}

/** Whatever went wrong: the witness counts as unreachable, and the lease as neither held nor lost. */
function unknownOutcome(witness: string, error: unknown): CatalystError {
  if (error instanceof CatalystError) return error;
  return new CatalystError('UpstreamUnavailable', `witness ${witness} failed: ${messageOf(error)}`, {
    cause: error,
    certain: false,
  });
}
