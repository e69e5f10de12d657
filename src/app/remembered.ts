import type { Clock } from '../clock.ts';

/** Questions that are remembered; the one asked longest ago is forgotten first. */
const most = 500;

/**
 * Remembers answers for a while, and asks a question once however many ask it at the same time: for figures over many
 * rows, which a wall of screens asks for again and again. An error is not remembered.
 * @param lasts ms
 */
export function remembered<Question, Answer>(
  clock: Clock,
  lasts: number,
  keyOf: (question: Question) => string,
  ask: (question: Question) => Promise<Answer>,
): (question: Question) => Promise<Answer> {
  const known = new Map<string, { until: number; answer: Promise<Answer> }>();
  return (question) => {
    const key = keyOf(question);
    const now = clock.monotonic();
    const before = known.get(key);
    if (before && now < before.until) return before.answer;
    const answer = ask(question);
    known.delete(key);
    known.set(key, { until: now + lasts, answer });
    answer.catch(() => known.delete(key));
    const oldest = known.keys().next().value;
    if (known.size > most && oldest !== undefined) known.delete(oldest);
    return answer;
  };
}
