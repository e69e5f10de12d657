/** Links with one-way faults: lost, late, doubled and overtaking messages. */
import type { Agenda } from './agenda.ts';
import type { Chance } from './random.ts';

interface Link {
  /** How many faults cut it at the moment. */
  cuts: number;
  loss: number;
  /** Longest delay, in milliseconds. */
  slow: number;
}

/** Even the fastest message takes its time, in milliseconds. */
const least = 3;
/** In a thousand messages one is very late: long after everybody has forgotten it. */
const veryLate = { share: 0.001, from: 2_000, to: 60_000 };

export class Network {
  readonly #agenda: Agenda;
  readonly #chance: Chance;
  readonly #links = new Map<string, Link>();
  /** Share of messages that arrive twice. */
  doubled = 0.01;
  /** Until faults begin, and after they end, nothing is lost or late. */
  calm = true;

  /** Longest usual delay, in milliseconds. */
  readonly #usual: number;

  constructor(agenda: Agenda, chance: Chance, usual: number) {
    this.#usual = usual;
    this.#agenda = agenda;
    this.#chance = chance;
  }

  link(from: string, to: string): Link {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (!link) {
      link = { cuts: 0, loss: 0, slow: 0 };
      this.#links.set(name, link);
    }
    return link;
  }

  /** Whether a message sent now would arrive. */
  passes(from: string, to: string): boolean {
    const link = this.link(from, to);
    return link.cuts === 0 && !(link.loss > 0 && this.#chance.happens(link.loss));
  }

  delay(from: string, to: string): number {
    const { slow } = this.link(from, to);
    if (slow > 0) return this.#chance.between(0, slow);
    if (!this.calm && this.#chance.happens(veryLate.share)) return this.#chance.between(veryLate.from, veryLate.to);
    return this.#chance.between(least, this.#usual);
  }

  /** Delivers once, twice or not at all. A message under way when a link is cut still arrives. */
  send(from: string, to: string, arrive: () => void): void {
    if (!this.passes(from, to)) return;
    this.#agenda.in(this.delay(from, to), arrive);
    if (!this.calm && this.#chance.happens(this.doubled)) this.#agenda.in(this.delay(from, to) * 3, arrive);
  }

  heal(): void {
    for (const link of this.#links.values()) {
      link.cuts = 0;
      link.loss = 0;
      link.slow = 0;
    }
    this.calm = true;
  }
}
