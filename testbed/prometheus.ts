/** Prometheus 2.42 from Debian's packages, on loopback, quick to evaluate. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  answers,
  demand,
  findPrograms,
  freePort,
  orStop,
  type Programs,
  type Running,
  runProgram,
  startServer,
  temporaryDirectory,
  waitUntil,
} from './process.ts';

export interface PrometheusOptions {
  /** Paths of rule files, absolute. They are read again by `reload`. */
  ruleFiles?: readonly string[];
  /** Base URL of an Alertmanager, for example `http://127.0.0.1:9093`. */
  alertmanagerUrl?: string;
  /** Entries of `scrape_configs`, as in prometheus.yml. None by default. */
  scrapeConfigs?: readonly object[];
  externalLabels?: Record<string, string>;
  /** Of rules and scrapes, as in prometheus.yml. Default `1s`. */
  interval?: string;
  /** Samples in OpenMetrics text, with timestamps, that are in the database from the start. */
  openMetrics?: string;
  /** Directory of a database that is there already; it is used as it stands, and kept. */
  dataDirectory?: string;
  /** Further command line arguments. */
  args?: readonly string[];
}

export interface Prometheus extends Running {
  /** Base URL, `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** Reads rule files and configuration again; rejects with Prometheus' own words when they are wrong. */
  reload(): Promise<void>;
}

/** An idle machine needs one second; the backfill and the log replay come on top. */
const START_LIMIT_MS = 30_000;

/** Whether Prometheus and promtool can be started here. */
export function findPrometheus(): Programs<'prometheus' | 'promtool'> {
  return findPrograms(['prometheus', 'promtool'], ['/usr/bin']);
}

/** Starts a Prometheus with an empty database on a free loopback port; returns when it is ready. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<Prometheus> {
  const { prometheus, promtool } = demand(findPrometheus());
  const directory = temporaryDirectory('prometheus');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(directory.path, 'prometheus.yml');
  const data = options.dataDirectory ?? join(directory.path, 'data');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(configuration(options)));
  if (options.openMetrics !== undefined) backfill(promtool, directory.path, data, options.openMetrics);
  const server = startServer({
    name: 'prometheus',
    program: prometheus,
    args: [
      `--config.file=${file}`,
      `--storage.tsdb.path=${data}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-lifecycle',
      // An alert that stays is sent again after this; the default of a minute is long for a test.
      '--rules.alert.resend-delay=5s',
      ...(options.args ?? []),
    ],
    cwd: directory.path,
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    directory.remove();
  };
  await orStop(
    () => waitUntil(`prometheus at ${url}`, START_LIMIT_MS, () => answers(`${url}/-/ready`), [server]),
    stop,
  );
  return {
    url,
    stop,
    logs: server.logs,
    reload: async () => {
      const response = await fetch(`${url}/-/reload`, { method: 'POST', signal: AbortSignal.timeout(10_000) });
      const text = await response.text();
      if (!response.ok) throw new Error(`prometheus refuses its configuration: ${text.trim()}`);
    },
  };
}

function configuration(options: PrometheusOptions): object {
  const { ruleFiles = [], scrapeConfigs = [], interval = '1s', alertmanagerUrl, externalLabels = {} } = options;
  return {
    global: {
      evaluation_interval: interval,
      scrape_interval: interval,
      scrape_timeout: interval,
      external_labels: externalLabels,
    },
    rule_files: ruleFiles,
    scrape_configs: scrapeConfigs,
    ...(alertmanagerUrl === undefined ? {} : { alerting: { alertmanagers: [alertmanager(alertmanagerUrl)] } }),
  };
}

function alertmanager(url: string): object {
  const { protocol, host, pathname } = new URL(url);
  return { scheme: protocol.slice(0, -1), path_prefix: pathname, static_configs: [{ targets: [host] }] };
}

function backfill(promtool: string, directory: string, data: string, openMetrics: string): void {
  const input = join(directory, 'openmetrics.txt');
  writeFileSync(input, openMetrics);
  runProgram(promtool, ['tsdb', 'create-blocks-from', 'openmetrics', input, data]);
}
