import type { Clock } from '../clock.ts';

/** Questions that are remembered; the one asked longest ago is forgotten first. */
const most = 500;

/**
 * Remembers answers for a while, and asks a question once however many ask it at the same time: for figures over many
 * rows, which a wall of screens asks for again and again. Who asks for one that has just run out still gets it, and the
 * next one is asked meanwhile: nobody waits but the first, and nobody gets one older than twice its time. An error is not
 * remembered.
 * @param lasts ms
 */
export function remembered<Question, Answer>(
  clock: Clock,
  lasts: number,
  keyOf: (question: Question) => string,
  ask: (question: Question) => Promise<Answer>,
): (question: Question) => Promise<Answer> {
  interface Known {
    asked: number;
    answer: Promise<Answer>;
    /** The one that takes its place is on its way. */
    next?: Promise<void> | undefined;
  }
  const known = new Map<string, Known>();
  const remember = (key: string, asked: number, answer: Promise<Answer>) => {
    known.delete(key);
    known.set(key, { asked, answer });
    const oldest = known.keys().next().value;
    if (known.size > most && oldest !== undefined) known.delete(oldest);
  };
  return (question) => {
    const key = keyOf(question);
    const now = clock.monotonic();
    const before = known.get(key);
    if (before && now < before.asked + 2 * lasts) {
      if (now >= before.asked + lasts)
        before.next ??= ask(question).then(
          (answer) => remember(key, now, Promise.resolve(answer)),
          () => {
            before.next = undefined;
          },
        );
      return before.answer;
    }
    const answer = ask(question);
    remember(key, now, answer);
    answer.catch(() => {
      if (known.get(key)?.answer === answer) known.delete(key);
    });
    return answer;
  };
}
