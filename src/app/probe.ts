/** `catalyst-sre probe`: reads what to probe, probes it, and serves what it finds to Prometheus. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseDuration } from '../catalog/duration.ts';
import type { CliIo } from '../cli/io.ts';
import type { ProbeOptions } from '../cli/registry.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { ProbeConfig, problemsBetween } from '../probe/probe-config.ts';
import { probeMetrics } from '../probe/probe-metrics.ts';
import { createProber, type Prober, type Result } from '../probe/prober.ts';
import { probe } from '../probe/probes.ts';
import { checkDocument, readText } from './check-document.ts';
import { wrongConfig } from './config.ts';
import { parseListen } from './listen.ts';

/** The schema has checked that it is one. */
const ms = (duration: string) => parseDuration(duration) ?? 0;

/** True when the prober was stopped, or has probed once and every target was well. */
export async function runProber({ config: path, listen, once: onlyOnce }: ProbeOptions, io: CliIo): Promise<boolean> {
  const config = readProbes(await readText(path), path);
  const prober = createProber(config, { clock: io.clock, probe, ms, onResult: changesTo(io) });
  if (onlyOnce) {
    const results = await prober.once(io.signal);
    io.out(probeMetrics(results).trimEnd());
    return results.length === config.targets.length && results.every(({ finding }) => finding.success);
  }
  const server = await serveMetrics(prober, listen);
  const { port } = server.address() as AddressInfo;
  const host = listen.slice(0, listen.lastIndexOf(':'));
  io.err(`Probes ${config.targets.length} targets; metrics at http://${host}:${port}/metrics.`);
  await prober.run(io.signal);
  server.close();
  server.closeAllConnections();
  return true;
}

/** @throws CatalystError InvalidResource with every problem and its line */
export function readProbes(text: string, path: string): ProbeConfig {
  const checked = checkDocument<ProbeConfig>(text, path, ProbeConfig, (config) =>
    problemsBetween(config, ms).map((problem) => ({ ...problem, atKey: false })),
  );
  if ('config' in checked) return checked.config;
  throw wrongConfig(checked.problems, 'docs/probe.md shows one that works.');
}

/** A line whenever a target turns bad or good again. */
function changesTo(io: CliIo): (result: Result) => void {
  const last = new Map<Result['target'], boolean>();
  return ({ target, finding }) => {
    if ((last.get(target) ?? true) !== finding.success)
      io.err(`${target.job} ${target.name}: ${finding.success ? 'well again' : finding.problem}.`);
    last.set(target, finding.success);
  };
}

async function serveMetrics(prober: Prober, listen: string): Promise<Server> {
  const pages: Readonly<Record<string, () => string>> = {
    '/metrics': () => probeMetrics(prober.results()),
    '/healthz': () => 'ok\n',
  };
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    const page = pages[request.url?.split('?')[0] ?? ''];
    response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
    if (page) response.end(page());
    else response.writeHead(404).end('There are /metrics and /healthz.\n');
  });
  server.listen(parseListen(listen));
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new CatalystError('Conflict', `Nothing can listen at ${listen}: ${messageOf(error)}`, {
      cause: error,
      hint: 'Give another address with --listen, or stop what uses this one.',
    });
  }
  return server;
}
