/** Series and queries whose answers were recorded from a real Prometheus: see record-answers.ts. */
import type { Database } from './database.ts';
import { evaluate } from './evaluate.ts';
import type { Sample } from './series.ts';
import { parseQuery } from './syntax.ts';

/** The last scrape, and the moment that is asked about: between two scrapes, so that no sample lies on a range's end. */
const END = Date.UTC(2026, 0, 5, 12);
export const ASKED_AT = END - 16_750;
/** Inside what the sandbox keeps at full resolution. */
const SPAN_MS = 280_000;

export interface Scrape {
  time: number;
  samples: Sample[];
}

/** Some minutes of counters with resets, gauges and buckets, scraped unevenly; the same at each call. */
export function recordedScrapes(): Scrape[] {
  let state = 7;
  // A linear congruential generator: what matters is only that it is always the same.
  const random = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const upTo = (limit: number) => Math.floor(random() * limit);
  const counters = new Map<string, number>();
  const scrapes: Scrape[] = [];
  for (let time = END - SPAN_MS; time <= END; time += 1_000 + upTo(3) * 500) {
    const samples: Sample[] = [];
    const add = (name: string, labels: Record<string, string>, value: number) =>
      samples.push({ labels: { __name__: name, ...labels }, value });
    for (const pod of ['a', 'b', 'c']) {
      const ns = pod === 'a' ? 'x' : 'y';
      for (const code of ['200', '500']) {
        const before = random() < 0.02 ? 0 : (counters.get(pod + code) ?? 50);
        counters.set(pod + code, before + upTo(code === '200' ? 20 : 3));
        add('requests_total', { pod, code, ns }, counters.get(pod + code) ?? 0);
      }
      add('mem', { pod, ns }, upTo(1_000));
      add('lim', { pod, ns }, 1_000);
      add('own', { pod, workload: pod === 'c' ? 'w2' : 'w1' }, 1);
      let cumulative = 0;
      for (const le of ['0.1', '0.5', '1', '+Inf']) {
        cumulative += upTo(50);
        add('lat_bucket', { pod, le }, cumulative);
      }
    }
    scrapes.push({ time, samples });
  }
  return scrapes;
}

const OVER_RANGE = ['rate', 'increase', 'irate', 'delta', 'avg', 'min', 'max', 'sum', 'count', 'last'].flatMap(
  (name) => {
    const isCounter = ['rate', 'increase', 'irate'].includes(name);
    const call = isCounter || name === 'delta' ? name : `${name}_over_time`;
    return ['5s', '30s', '2m'].map((range) => `${call}(${isCounter ? 'requests_total' : 'mem'}[${range}])`);
  },
);

export const RECORDED_QUERIES = [
  'mem',
  'mem > 500',
  'mem / lim',
  'mem * on (pod) group_left (workload) own',
  'sum by (ns) (mem)',
  'avg without (pod) (mem)',
  'max(mem)',
  'count by (ns) (mem > 300)',
  'mem and on (ns) (mem > 500)',
  'mem unless mem > 500',
  'mem or lim',
  '-mem',
  'mem % 7',
  'mem == bool 3',
  '2 * mem - 1',
  '1 < bool 2',
  'absent(mem{pod="z"})',
  'absent(mem)',
  'histogram_quantile(0.9, lat_bucket)',
  'histogram_quantile(0.5, sum by (le) (lat_bucket))',
  'scalar(sum(mem))',
  'clamp_min(mem, 400)',
  'round(mem / 7, 0.5)',
  'floor(mem / 3)',
  '{__name__=~"m.*"}',
  'mem{pod=~"a|b"}',
  'mem{pod!~"a"}',
  'mem > on (pod) lim * 0.5',
  'mem / ignoring (code) group_left () lim',
  'sum(mem) by (ns) / sum(lim) by (ns) > 0.4',
  '1 - sum(mem) / sum(lim)',
  'sum by (ns) (rate(requests_total{code=~"5.."}[30s])) / sum by (ns) (rate(requests_total[30s])) > 0.05',
  'topk(2, mem)',
  'bottomk by (ns) (1, mem)',
  'sum_over_time(mem[2m:30s])',
  'avg_over_time(mem[3m:7s])',
  'max_over_time(mem{pod="a"}[1d:1m])',
  'mem offset 1m',
  'sum by (ns) (rate(requests_total[30s] offset 45s))',
  'label_replace(mem, "zone", "$1-${1}", "ns", "(.*)")',
  'label_replace(mem, "ns", "", "pod", "a|b")',
  'label_replace(mem, "zone", "none", "pod", "z")',
  ...OVER_RANGE,
];

/** One answer in a form that two systems can be compared by: nine digits, and no order. */
export type Answer = [labels: string, value: string][];

export function normalise(rows: { labels: Record<string, string>; value: number }[]): Answer {
  const print = (labels: Record<string, string>) =>
    Object.keys(labels)
      .sort()
      .map((name) => `${name}=${labels[name]}`)
      .join(',');
  return rows
    .map(({ labels, value }): Answer[number] => [print(labels), String(Number(value.toPrecision(9)))])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What the sandbox answers. */
export function answerOf(query: string, database: Database): Answer {
  const value = evaluate(parseQuery(query), database, ASKED_AT);
  if (value.type === 'scalar') return normalise([{ labels: {}, value: value.value }]);
  return normalise(value.type === 'vector' ? value.samples : []);
}
