/** Silences: who asked for quiet, about what, from when to when. */
import { randomUUID } from 'node:crypto';
import { type Labels, type Matcher, MatcherError, matches, matchesAll } from './matchers.ts';

export interface Silence {
  id: string;
  matchers: Matcher[];
  startsAt: number;
  endsAt: number;
  updatedAt: number;
  createdBy: string;
  comment: string;
  annotations: Labels;
}

export type SilenceDraft = Omit<Silence, 'id' | 'updatedAt'> & { id?: string | undefined };

export type SilenceState = 'expired' | 'active' | 'pending';

/** A silence that is refused; `status` is the HTTP status. */
export class SilenceError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const ORDER: SilenceState[] = ['active', 'pending', 'expired'];

export class Silences {
  readonly #silences = new Map<string, Silence>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  get(id: string): Silence | undefined {
    return this.#silences.get(id);
  }

  stateOf(silence: Silence): SilenceState {
    const now = this.#now();
    if (silence.endsAt <= now) return 'expired';
    return silence.startsAt > now ? 'pending' : 'active';
  }

  /** Active ones first, next to end first; then the pending ones, next to start first; then the expired ones. */
  list(): Silence[] {
    const rank = (silence: Silence) => ORDER.indexOf(this.stateOf(silence));
    const time = (silence: Silence) => {
      const state = this.stateOf(silence);
      return state === 'pending' ? silence.startsAt : state === 'active' ? silence.endsAt : -silence.endsAt;
    };
    return [...this.#silences.values()].sort((a, b) => rank(a) - rank(b) || time(a) - time(b));
  }

  /** Ids of the active silences that cover these labels. */
  covering(labels: Labels): string[] {
    return this.list()
      .filter((silence) => this.stateOf(silence) === 'active' && matchesAll(silence.matchers, labels))
      .map((silence) => silence.id);
  }

  /** Stores a silence and gives its id: the old one when the change can be made in place, a new one otherwise. */
  set(draft: SilenceDraft): string {
    this.#check(draft);
    const now = this.#now();
    const old = draft.id === undefined ? undefined : this.#silences.get(draft.id);
    if (draft.id !== undefined && !old) throw new SilenceError(404, 'silence not found');
    const isSameTarget = old && JSON.stringify(old.matchers) === JSON.stringify(draft.matchers);
    const stays = old !== undefined && isSameTarget && this.stateOf(old) !== 'expired';
    if (old && !stays && this.stateOf(old) !== 'expired') this.expire(old.id);
    const startsAt = stays && this.stateOf(old) === 'active' ? old.startsAt : Math.max(draft.startsAt, now);
    const silence: Silence = { ...draft, id: stays ? old.id : randomUUID(), startsAt, updatedAt: now };
    this.#silences.set(silence.id, silence);
    return silence.id;
  }

  /** Ends a silence now. */
  expire(id: string): void {
    const silence = this.#silences.get(id);
    if (!silence) throw new SilenceError(404, 'silence not found');
    if (this.stateOf(silence) === 'expired') throw new SilenceError(500, `silence ${id} already expired`);
    const now = this.#now();
    this.#silences.set(id, { ...silence, startsAt: Math.min(silence.startsAt, now), endsAt: now, updatedAt: now });
  }

  #check(draft: SilenceDraft): void {
    if (draft.startsAt >= draft.endsAt) {
      throw new SilenceError(400, 'Failed to create silence: start time must be before end time');
    }
    if (draft.endsAt < this.#now()) {
      throw new SilenceError(400, "Failed to create silence: end time can't be in the past");
    }
    try {
      if (draft.matchers.every((matcher) => matches(matcher, {}))) {
        throw new SilenceError(400, 'invalid silence: at least one matcher must not match the empty string');
      }
    } catch (error) {
      if (error instanceof MatcherError) throw new SilenceError(400, `invalid silence: ${error.message}`);
      throw error;
    }
  }
}
