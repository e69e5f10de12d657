import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Database } from './database.ts';
import { evaluate } from './evaluate.ts';
import type { Sample } from './series.ts';
import { PromqlError, parseDuration, parseQuery } from './syntax.ts';

const NOW = 1_000_000_000;

const sample = (name: string, labels: Record<string, string>, value: number): Sample => ({
  labels: { __name__: name, ...labels },
  value,
});

function database(...samples: Sample[]): Database {
  const made = new Database();
  made.append(NOW, samples);
  return made;
}

/** The result as `labels => value`, in a fixed order. */
function ask(query: string, data: Database, time = NOW): Record<string, number> | number {
  const value = evaluate(parseQuery(query), data, time);
  if (value.type === 'scalar') return value.value;
  assert.equal(value.type, 'vector');
  const rows = value.type === 'vector' ? value.samples : [];
  const print = (labels: Record<string, string>) =>
    Object.keys(labels)
      .sort()
      .map((name) => `${name === '__name__' ? '' : `${name}=`}${labels[name]}`)
      .join(' ');
  return Object.fromEntries(rows.map(({ labels, value: number }) => [print(labels), number]));
}

describe('instant queries', () => {
  const data = database(
    sample('up', { job: 'a', pod: 'a-0' }, 1),
    sample('up', { job: 'a', pod: 'a-1' }, 0),
    sample('up', { job: 'b', pod: 'b-0' }, 1),
    sample('limit', { job: 'a', pod: 'a-0' }, 4),
    sample('owner', { pod: 'a-0', workload: 'web' }, 1),
    sample('owner', { pod: 'a-1', workload: 'web' }, 1),
  );
  const cases: [string, ReturnType<typeof ask>][] = [
    ['up{job="a",pod!="a-1"}', { 'up job=a pod=a-0': 1 }],
    ['up{pod=~".-0"}', { 'up job=a pod=a-0': 1, 'up job=b pod=b-0': 1 }],
    ['up{pod!~"a.*"}', { 'up job=b pod=b-0': 1 }],
    ['{__name__="limit"}', { 'limit job=a pod=a-0': 4 }],
    ['up == 0', { 'up job=a pod=a-1': 0 }],
    ['up == bool 0', { 'job=a pod=a-0': 0, 'job=a pod=a-1': 1, 'job=b pod=b-0': 0 }],
    ['1 + 2 * 3 - 4 / 2', 5],
    ['-(2 - 5)', 3],
    ['2 > bool 1', 1],
    ['up * 2 + 1', { 'job=a pod=a-0': 3, 'job=a pod=a-1': 1, 'job=b pod=b-0': 3 }],
    ['up / limit', { 'job=a pod=a-0': 0.25 }],
    ['sum by (job) (up)', { 'job=a': 1, 'job=b': 1 }],
    ['sum(up) by (job)', { 'job=a': 1, 'job=b': 1 }],
    ['avg without (pod) (up)', { 'job=a': 0.5, 'job=b': 1 }],
    ['count(up)', { '': 3 }],
    ['max(up) - min(up)', { '': 1 }],
    ['up * on (pod) group_left (workload) owner', { 'job=a pod=a-0 workload=web': 1, 'job=a pod=a-1 workload=web': 0 }],
    ['up and limit', { 'up job=a pod=a-0': 1 }],
    ['up unless on (job) limit', { 'up job=b pod=b-0': 1 }],
    ['limit or up{job="b"}', { 'limit job=a pod=a-0': 4, 'up job=b pod=b-0': 1 }],
    ['absent(up)', {}],
    ['absent(nothing{job="a",pod=~"x"})', { 'job=a': 1 }],
    ['scalar(limit)', 4],
    ['vector(3)', { '': 3 }],
    ['clamp_max(limit, 3)', { 'job=a pod=a-0': 3 }],
    ['nothing', {}],
  ];
  for (const [query, expected] of cases) {
    it(query, () => assert.deepEqual(ask(query, data), expected));
  }

  it('refuses many-to-many matches', () => {
    assert.throws(() => ask('limit * on (job) up', data), /found duplicate series .* right hand-side/);
  });
});

describe('queries over a range', () => {
  const counter = new Database();
  // 10 a second for a minute, sampled each second, with a restart in the middle.
  for (let second = 0; second <= 60; second++) {
    const value = (second <= 30 ? second : second - 30) * 10;
    counter.append(NOW + second * 1_000, [sample('requests_total', { code: '200' }, value)]);
  }
  const end = NOW + 60_000;
  const near = (query: string, expected: number, tolerance: number) => {
    const [value] = Object.values(ask(query, counter, end) as Record<string, number>);
    assert.ok(value !== undefined && Math.abs(value - expected) <= tolerance, `${query} = ${value}`);
  };

  it('takes rates, adding resets back', () => {
    near('rate(requests_total[10s])', 10, 0.001);
    near('increase(requests_total[20s])', 200, 0.1);
    near('rate(requests_total[50s])', 10, 0.3);
    near('irate(requests_total[10s])', 10, 0.001);
  });

  it('aggregates over time', () => {
    near('max_over_time(requests_total[1m])', 300, 0);
    near('min_over_time(requests_total[5s])', 260, 0);
    near('count_over_time(requests_total[10s])', 10, 0);
    near('avg_over_time(requests_total[3s])', 290, 0.001);
  });

  it('estimates quantiles from buckets', () => {
    const buckets = (['0.1', '0.5', '+Inf'] as const).map((le, n) =>
      sample('d_bucket', { le }, [50, 100, 100][n] ?? 0),
    );
    assert.deepEqual(ask('histogram_quantile(0.75, d_bucket)', database(...buckets)), { '': 0.30000000000000004 });
  });

  it('forgets a series that is gone at once, and one not scraped after five minutes', () => {
    const data = database(sample('up', { pod: 'a' }, 1));
    assert.deepEqual(ask('up', data, NOW + 299_000), { 'up pod=a': 1 });
    assert.deepEqual(ask('up', data, NOW + 300_000), {});
    data.append(NOW + 1_000, []);
    assert.deepEqual(ask('up', data, NOW + 1_000), {});
    assert.deepEqual(ask('up', data, NOW + 999), { 'up pod=a': 1 });
  });

  it('pretends a past for what it scrapes first', () => {
    const data = new Database();
    data.backfill([sample('requests_total', {}, 3_600), sample('up', {}, 1)], NOW - 3_600_000, NOW);
    data.append(NOW, [sample('requests_total', {}, 3_600), sample('up', {}, 1)]);
    const [rate] = Object.values(ask('rate(requests_total[10m])', data) as Record<string, number>);
    assert.ok(rate !== undefined && Math.abs(rate - 1) < 0.01, String(rate));
    assert.deepEqual(ask('min_over_time(up[1h])', data), { '': 1 });
  });

  it('thins what is older than five minutes and drops what is older than six hours', () => {
    const data = new Database();
    for (let time = 0; time <= 7 * 3_600_000; time += 5_000) data.append(NOW + time, [sample('up', {}, 1)]);
    const [series] = data.select('up', () => true);
    const times = series?.points.map((point) => point.time - NOW) ?? [];
    assert.equal(times.at(-1), 7 * 3_600_000);
    assert.ok((times[0] ?? 0) >= 3_600_000, `oldest ${times[0]}`);
    assert.ok(times.length < 1_600, `${times.length} points`);
  });
});

describe('what is not in the subset', () => {
  const wrong: [string, RegExp][] = [
    ['', /no expression found/],
    ['up{', /unexpected "end of input" in label matching/],
    ['up{a=b}', /expected string/],
    ['{a=~".*"}', /at least one non-empty matcher/],
    ['up[5x]', /not a valid duration string|unexpected/],
    ['quantile_over_time(0.5, up[5m])', /unknown function with name "quantile_over_time"/],
    ['up @ 5', /unexpected "@"/],
    ['rate(up)', /expected type range vector in call to function "rate", got instant vector/],
    ['sum(up[5m])', /expected type instant vector in aggregation expression/],
    ['1 == 1', /comparisons between scalars must use BOOL/],
    ['up{a=~"("}', /error parsing regexp/],
    ['sum(up', /expected "\)"/],
    ['up ^ 2', /unexpected "\^"/],
    ['€', /unexpected character/],
  ];
  for (const [query, message] of wrong) {
    it(JSON.stringify(query), () => {
      assert.throws(
        () => ask(query, database()),
        (error) => error instanceof PromqlError && message.test(error.message),
      );
    });
  }

  it('never breaks on any text: it is a value or a PromqlError', () => {
    const pieces = fc.constantFrom(
      'up',
      '{',
      '}',
      '(',
      ')',
      'sum',
      'by',
      '+',
      '-',
      '[5m]',
      'rate',
      '1',
      '"x"',
      '=',
      ',',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        try {
          evaluate(parseQuery(parts.join('')), database(sample('up', {}, 1)), NOW);
        } catch (error) {
          assert.ok(error instanceof PromqlError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('durations', () => {
  it('are read as Prometheus writes them', () => {
    assert.equal(parseDuration('1h30m'), 5_400_000);
    assert.equal(parseDuration('500ms'), 500);
    assert.equal(parseDuration('5'), undefined);
    assert.equal(parseDuration('5m x'), undefined);
  });
});
