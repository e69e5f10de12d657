/** What is scraped beside the world itself. */
import type { Labels, Sample } from './series.ts';

/**
 * What exporters say of services that the pocket Sovereign has no pods of, so that nobody can break them here: a counter that
 * rises evenly, or a gauge that stands still. `labels` include `__name__`.
 */
export type SteadySeries = { labels: Labels } & ({ perSecond: number } | { value: number });

/** @param since when the counters were zero, milliseconds */
export function steadySamples(series: readonly SteadySeries[], since: number, now: number): Sample[] {
  return series.map((one) => ({
    labels: one.labels,
    value: 'value' in one ? one.value : Math.floor((one.perSecond * (now - since)) / 1000),
  }));
}

/** As often as Prometheus usually scrapes, and how long it waits, ms. */
const INTERVAL_MS = 15_000;
const TIMEOUT_MS = 10_000;

/** A program that tells of itself over HTTP. */
export class HttpTarget {
  readonly #url: string;
  readonly #labels: Labels;
  #next = 0;
  #samples: Sample[] = [];

  constructor(url: string, job: string) {
    this.#url = url;
    this.#labels = { job };
  }

  /** What it told last; asks it again when it is time to. Gone as long as it does not answer, as with staleness markers. */
  samples(now: number): Sample[] {
    if (now >= this.#next) {
      this.#next = now + INTERVAL_MS;
      void this.#scrape();
    }
    return this.#samples;
  }

  async #scrape(): Promise<void> {
    const up = (value: number) => ({ labels: { __name__: 'up', ...this.#labels }, value });
    try {
      const response = await fetch(this.#url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!response.ok) throw new Error(`It answers ${response.status}.`);
      this.#samples = [...readExposition(await response.text(), this.#labels), up(1)];
    } catch {
      this.#samples = [up(0)];
    }
  }
}

const SAMPLE = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a text in the format 0.0.4, each with the labels of the target. */
export function readExposition(text: string, target: Labels): Sample[] {
  return text.split('\n').flatMap((line) => {
    const { name, labels = '', value = '' } = SAMPLE.exec(line)?.groups ?? {};
    if (name === undefined) return [];
    const own = [...labels.matchAll(LABEL)].map(([, label, written = '']) => [
      label,
      written.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter)),
    ]);
    const number = Number(value.replace('Inf', 'Infinity'));
    return [{ labels: { __name__: name, ...Object.fromEntries(own), ...target }, value: number }];
  });
}
