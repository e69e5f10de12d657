/** What happens when: a binary heap ordered by time, then by the order of entry, so that a run is the same every time. */
export class Agenda {
  /** Real time of the simulated world, in milliseconds. */
  now = 0;
  #entries: { at: number; order: number; run: () => void }[] = [];
  #order = 0;

  in(delay: number, run: () => void): void {
    const entries = this.#entries;
    const entry = { at: this.now + Math.max(0, delay), order: this.#order, run };
    this.#order += 1;
    let i = entries.length;
    entries.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = entries[parent];
      if (!above || !before(entry, above)) break;
      entries[i] = above;
      i = parent;
    }
    entries[i] = entry;
  }

  /** Runs everything due before `until`, then stands there. */
  runUntil(until: number): void {
    for (;;) {
      const first = this.#entries[0];
      if (!first || first.at > until) break;
      this.#removeFirst();
      this.now = first.at;
      first.run();
    }
    this.now = until;
  }

  #removeFirst(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (!last || entries.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const left = entries[child];
      if (!left) break;
      const right = entries[child + 1];
      if (right && before(right, left)) child += 1;
      const smaller = entries[child];
      if (!smaller || !before(smaller, last)) break;
      entries[i] = smaller;
      i = child;
    }
    entries[i] = last;
  }
}

function before(a: { at: number; order: number }, b: { at: number; order: number }): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
