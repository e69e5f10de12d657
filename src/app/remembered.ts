import type { Clock } from '../clock.ts';

/** Questions that are remembered; the one asked longest ago is forgotten first. */
const most = 500;
/** An answer lasts so many times what it took to work out: however many ask, that costs a hundredth of the time. */
const timesWorth = 100;

/**
 * Remembers answers for a while, and asks a question once however many ask it at the same time: for figures over many
 * rows, which a wall of screens asks for again and again. Who asks for one that has just run out still gets it, and the
 * next one is asked meanwhile: nobody waits but the first, and nobody gets one older than twice its time. An error is not
 * remembered. What is quick to work out is soon asked again: of few rows the figures are those of the moment.
 * @param atMost how long an answer lasts at the longest, ms
 */
export function remembered<Question, Answer>(
  clock: Clock,
  atMost: number,
  keyOf: (question: Question) => string,
  ask: (question: Question) => Promise<Answer>,
): (question: Question) => Promise<Answer> {
  interface Known {
    asked: number;
    answer: Promise<Answer>;
    lasts: number;
    /** The one that takes its place is on its way. */
    next?: Promise<void> | undefined;
  }
  const known = new Map<string, Known>();
  const remember = (key: string, asked: number, answer: Promise<Answer>) => {
    const one: Known = { asked, answer, lasts: atMost };
    known.delete(key);
    known.set(key, one);
    const oldest = known.keys().next().value;
    if (known.size > most && oldest !== undefined) known.delete(oldest);
    return one;
  };
  const worked = (one: Known) => {
    one.lasts = Math.min(atMost, timesWorth * (clock.monotonic() - one.asked));
  };
  return (question) => {
    const key = keyOf(question);
    const now = clock.monotonic();
    const before = known.get(key);
    if (before && now < before.asked + 2 * before.lasts) {
      if (now >= before.asked + before.lasts)
        before.next ??= ask(question).then(
          (answer) => worked(remember(key, now, Promise.resolve(answer))),
          () => {
            before.next = undefined;
          },
        );
      return before.answer;
    }
    const answer = ask(question);
    const one = remember(key, now, answer);
    answer.then(
      () => worked(one),
      () => {
        if (known.get(key) === one) known.delete(key);
      },
    );
    return answer;
  };
}
