/**
 * Asks a real Prometheus the recorded queries over the recorded series and prints its answers:
 * `node sandbox/prometheus/record-answers.ts > sandbox/prometheus/recorded.json`, with `prometheus` and `promtool` in
 * the PATH. Not part of the tests: those hold the sandbox against what was recorded.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Answer, ASKED_AT, normalise, RECORDED_QUERIES, recordedScrapes } from './recorded.ts';

/** The series in OpenMetrics: one family after the other, each series in the order of time. */
function openMetrics(): string {
  const families = new Map<string, Map<string, string[]>>();
  for (const { time, samples } of recordedScrapes()) {
    for (const { labels, value } of samples) {
      const { __name__: name = '', ...rest } = labels;
      const family = families.get(name) ?? new Map<string, string[]>();
      const pairs = Object.entries(rest).map(([label, text]) => `${label}="${text}"`);
      const series = `${name}{${pairs.join(',')}}`;
      family.set(series, [...(family.get(series) ?? []), `${series} ${value} ${time / 1000}`]);
      families.set(name, family);
    }
  }
  const lines = [...families].flatMap(([name, family]) => {
    const type = name.endsWith('_total') ? 'counter' : 'gauge';
    return [`# TYPE ${name.replace(/_total$/, '')} ${type}`, ...[...family.values()].flat()];
  });
  return `${lines.join('\n')}\n# EOF\n`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

interface QueryAnswer {
  error?: string;
  data: { resultType: string; result: unknown };
}

async function ask(base: string, query: string): Promise<Answer> {
  const parameters = new URLSearchParams({ query, time: String(ASKED_AT / 1000) });
  const { error, data } = (await (await fetch(`${base}/api/v1/query?${parameters}`)).json()) as QueryAnswer;
  if (error !== undefined) throw new Error(`${query}: ${error}`);
  if (data.resultType === 'scalar') return normalise([{ labels: {}, value: Number((data.result as string[])[1]) }]);
  const rows = data.result as { metric: Record<string, string>; value: [number, string] }[];
  return normalise(rows.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) })));
}

const directory = mkdtempSync(join(tmpdir(), 'record-'));
writeFileSync(join(directory, 'series.txt'), openMetrics());
writeFileSync(join(directory, 'prometheus.yml'), 'global: { scrape_interval: 1h }\n');
execFileSync('promtool', [
  'tsdb',
  'create-blocks-from',
  'openmetrics',
  join(directory, 'series.txt'),
  join(directory, 'data'),
]);
const port = await freePort();
const prometheus = spawn(
  'prometheus',
  [
    `--config.file=${join(directory, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    '--storage.tsdb.retention.time=100y',
    `--web.listen-address=127.0.0.1:${port}`,
  ],
  { stdio: 'ignore' },
);
try {
  const base = `http://127.0.0.1:${port}`;
  // Ten seconds for it to start.
  for (let attempt = 0; attempt < 100; attempt++) {
    const isReady = await fetch(`${base}/-/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const answers: Record<string, Answer> = {};
  for (const query of RECORDED_QUERIES) answers[query] = await ask(base, query);
  const { data } = (await (await fetch(`${base}/api/v1/status/buildinfo`)).json()) as { data: { version: string } };
  process.stdout.write(`${JSON.stringify({ recordedFrom: `Prometheus ${data.version}`, answers }, null, 1)}\n`);
} finally {
  prometheus.kill();
  rmSync(directory, { recursive: true, force: true });
}
