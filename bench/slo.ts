/**
 * What SLOs cost: `node bench/slo.ts [--series 200] [--days 30] [--runs 7]`. Evaluates, in one real Prometheus and one run,
 * the rules this product writes for one ratio SLO, and those of the shapes that Sloth 0.16 and Pyrra 0.10 document, over
 * the same counter scraped every 30 s. Then renders a growing number of SLOs. Prints tables: medians and ratios.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/clock.ts';
import { loadSloDocuments } from '../src/slo/documents.ts';
import { prometheusFiles } from '../src/slo/prometheus-files.ts';
import { ruleUnits } from '../src/slo/rule-unit.ts';
import { sloGroups } from '../src/slo/rules.ts';
import { temporaryDirectory } from '../testbed/process.ts';
import { startPrometheus } from '../testbed/prometheus.ts';

const { values: flags } = parseArgs({
  options: {
    series: { type: 'string', default: '200' },
    days: { type: 'string', default: '30' },
    runs: { type: 'string', default: '7' },
    render: { type: 'string' },
    'only-rendering': { type: 'boolean', default: false },
  },
});
const [series, days, runs] = [Number(flags.series), Number(flags.days), Number(flags.runs)];
const scrape = 30;
const daySeconds = 86_400;
const directory = join(import.meta.dirname, '..');
const document = readFileSync(join(directory, 'handbook/slos/console-availability.yaml'), 'utf8');

const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

interface Rule {
  name: string;
  expr: string;
  /** s */
  interval: number;
}

const counter = 'hubble_http_requests_total';
const all = `${counter}{destination_workload="console"}`;
const errors = `${counter}{destination_workload="console",status=~"5.."}`;

function ourRules(): Rule[] {
  const { slos, problems } = loadSloDocuments([{ origin: { source: 'bench', file: 'slo.yaml' }, text: document }]);
  const [slo] = slos;
  if (!slo) throw new Error(JSON.stringify(problems));
  return sloGroups(slo).flatMap(({ interval, rules }) =>
    rules.map((rule) => ({
      name: 'record' in rule ? rule.record : `alert ${rule.alert}`,
      expr: rule.expr,
      interval: interval === '30s' ? 30 : 120,
    })),
  );
}

/** Ratios over raw series for each window, and the mean of the five-minute ratios for the budget. */
function slothRules(): Rule[] {
  const ratio = (window: string): Rule => ({
    name: `ratio ${window}`,
    expr: `sum(rate(${errors}[${window}])) / sum(rate(${all}[${window}]))`,
    interval: 30,
  });
  const budget = 'sum_over_time(bench:ratio:5m[30d]) / count_over_time(bench:ratio:5m[30d])';
  return [...['5m', '30m', '1h', '2h', '6h', '1d', '3d'].map(ratio), { name: 'ratio 30d', expr: budget, interval: 30 }];
}

/** Burn rates over raw series, and the increase over the whole window. */
function pyrraRules(): Rule[] {
  const burn = (window: string): Rule => ({
    name: `burn rate ${window}`,
    expr: `sum(rate(${errors}[${window}])) / sum(rate(${all}[${window}]))`,
    interval: 30,
  });
  return [
    ...['5m', '30m', '1h', '2h', '6h', '1d', '4d'].map(burn),
    { name: 'increase', expr: `sum by (status) (increase(${all}[30d]))`, interval: 150 },
  ];
}

/** Counters of one day and the series recorded from them, as OpenMetrics text. */
function writeDay(path: string, day: number, end: number): void {
  const file = openSync(path, 'w');
  const from = end - (days - day) * daySeconds;
  const steps = daySeconds / scrape;
  const times = Array.from({ length: steps }, (_, i) => from + i * scrape);
  let lines: string[] = [`# TYPE ${counter.replace(/_total$/, '')} counter`];
  const flush = () => {
    writeSync(file, `${lines.join('\n')}\n`);
    lines = [];
  };
  for (let i = 0; i < series; i++) {
    // One series in ten counts errors, a thousand times more slowly.
    const failing = i % 10 === 0;
    const labels = `destination_workload="console",status="${failing ? 503 : 200}",pod="console-${i}"`;
    const perStep = failing ? 0.01 : 10;
    times.forEach((time, k) => {
      lines.push(`${counter}{${labels}} ${Math.floor((day * steps + k) * perStep)} ${time}`);
    });
    flush();
  }
  const recorded: [string, number][] = [
    ['slo:total:5m{slo="console-availability",slo_service="catalyst"}', 60],
    ['slo:bad:5m{slo="console-availability",slo_service="catalyst"}', 0.06],
    ['slo:error_ratio:30d{slo="console-availability",slo_service="catalyst"}', 0.001],
    ['bench:ratio:5m', 0.001],
  ];
  for (const [name, value] of recorded) {
    lines.push(`# TYPE ${name.replace(/\{.*/, '')} gauge`, ...times.map((time) => `${name} ${value} ${time}`));
    flush();
  }
  lines.push('# EOF');
  flush();
  closeSync(file);
}

async function cost(): Promise<void> {
  const work = temporaryDirectory('bench-slo');
  // Whole days, so that a block holds one.
  const end = Math.floor(systemClock.now() / 1000 / daySeconds) * daySeconds;
  const data = join(work.path, 'data');
  for (let day = 0; day < days; day++) {
    const text = join(work.path, 'day.txt');
    writeDay(text, day, end);
    const made = spawnSync('promtool', [
      'tsdb',
      'create-blocks-from',
      'openmetrics',
      '--max-block-duration=24h',
      text,
      data,
    ]);
    if (made.status !== 0) throw new Error(String(made.stderr));
    rmSync(text);
    process.stderr.write(`\rday ${day + 1} of ${days}`);
  }
  process.stderr.write('\n');
  const prometheus = await startPrometheus({ dataDirectory: data, args: ['--storage.tsdb.retention.time=60d'] });
  try {
    const results = [];
    for (const [tool, rules] of [
      ['catalyst-sre', ourRules()],
      ['Sloth 0.16', slothRules()],
      ['Pyrra 0.10', pyrraRules()],
    ] as const) {
      let [once, hour] = [0, 0];
      for (const { expr, interval } of rules) {
        const took = median(await times(prometheus.url, expr, end - scrape));
        once += took;
        hour += (took * 3600) / interval;
      }
      results.push({ tool, rules: rules.length, once, hour });
    }
    const [ours] = results;
    process.stdout.write(`\n${series} series, ${days} days, every ${scrape} s, medians of ${runs} runs, one SLO:\n\n`);
    process.stdout.write(
      '| Rules of | Rules | Every rule once, ms | ours to theirs | An hour at their intervals, s | ours to theirs |\n|---|---|---|---|---|---|\n',
    );
    for (const { tool, rules, once, hour } of results)
      process.stdout.write(
        `| ${tool} | ${rules} | ${once.toFixed(1)} | ${((ours?.once ?? 0) / once).toFixed(3)} | ${(hour / 1000).toFixed(2)} | ${((ours?.hour ?? 0) / hour).toFixed(3)} |\n`,
      );
  } finally {
    await prometheus.stop();
    work.remove();
  }
}

/** How long Prometheus itself needs for the query, ms. */
async function times(url: string, expr: string, time: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i <= runs; i++) {
    const query = new URLSearchParams({ query: expr, time: String(time), stats: 'all', timeout: '2m' });
    const response = await fetch(`${url}/api/v1/query`, {
      method: 'POST',
      body: query,
      signal: AbortSignal.timeout(180_000),
    });
    const answer = (await response.json()) as {
      data?: { stats?: { timings: { execTotalTime: number } } };
      error?: string;
    };
    if (!answer.data?.stats) throw new Error(answer.error ?? 'no statistics');
    // The first one warms up.
    if (i > 0) all.push(answer.data.stats.timings.execTotalTime * 1000);
  }
  return all;
}

/** Renders so many SLOs once, in a process of its own, and says how long it took and how large the process became. */
function renderOnce(count: number): void {
  const texts = Array.from({ length: count }, (_, i) => ({
    origin: { source: 'bench', file: `${i}.yaml` },
    text: document
      .replace('name: console-availability', `name: slo-${i}`)
      .replaceAll('destination_workload="console"', `destination_workload="w${i}"`),
  }));
  const began = systemClock.monotonic();
  const files = prometheusFiles(ruleUnits(loadSloDocuments(texts)));
  const ms = systemClock.monotonic() - began;
  const size = files.reduce((sum, { text }) => sum + text.length, 0) / 1e6;
  process.stdout.write(JSON.stringify({ ms, size, memory: process.resourceUsage().maxRSS / 1000 }));
}

function rendering(): void {
  process.stdout.write(
    `\nRendering all rules and their tests, each in a fresh process, medians of ${runs} runs:\n\n| SLOs | ms | ms for each | Written, MB | Largest size of the process, MB |\n|---|---|---|---|---|\n`,
  );
  for (const count of [23, 250, 500, 1000]) {
    const results = Array.from({ length: runs }, () => {
      const { stdout } = spawnSync(process.execPath, [import.meta.filename, '--render', String(count)]);
      return JSON.parse(String(stdout)) as { ms: number; size: number; memory: number };
    });
    const ms = median(results.map((result) => result.ms));
    const memory = median(results.map((result) => result.memory));
    const size = results[0]?.size ?? 0;
    process.stdout.write(
      `| ${count} | ${ms.toFixed(0)} | ${(ms / count).toFixed(2)} | ${size.toFixed(1)} | ${memory.toFixed(0)} |\n`,
    );
  }
}

/** The command as it is typed, process start included, in turns with a Node that does nothing: the part nobody can save. */
function command(): void {
  const out = temporaryDirectory('render');
  const time = (args: readonly string[]) => {
    const began = systemClock.monotonic();
    const { status, stderr } = spawnSync(process.execPath, args);
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${String(stderr)}`);
    return systemClock.monotonic() - began;
  };
  const all = [join(directory, 'bin/catalyst-sre.js'), 'render', 'all', '--out', out.path];
  // The first one has what it compiles kept for the others.
  time(all);
  const turns = Array.from({ length: 3 * runs }, () => ({ all: time(all), bare: time(['-e', '0']) }));
  out.remove();
  const wall = turns.map((turn) => turn.all);
  process.stdout.write(
    `\n\`catalyst-sre render all\` for the whole handbook, ${turns.length} runs in turns with \`node -e 0\`:\n\n| Fastest, ms | Median, ms | Slowest, ms | \`node -e 0\`, median, ms |\n|---|---|---|---|\n| ${[Math.min(...wall), median(wall), Math.max(...wall), median(turns.map((turn) => turn.bare))].map((ms) => ms.toFixed(0)).join(' | ')} |\n`,
  );
}

if (flags.render !== undefined) renderOnce(Number(flags.render));
else {
  command();
  rendering();
  if (!flags['only-rendering']) await cost();
}
