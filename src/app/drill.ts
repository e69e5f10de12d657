/**
 * A game day in a pocket Sovereign of its own: breaks something, and tells what the product does about it as it happens,
 * from its own event stream.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAULTS, type FaultName } from '../../sandbox/faults.ts';
import type { RecordedEntry } from '../audit/record.ts';
import { readRecord, verifyChain } from '../audit/record-store.ts';
import type { DrillEvent, DrillResult } from '../cli/registry.ts';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { Environment } from './options.ts';
import { startSandboxApp } from './sandbox.ts';

export function drills(): { name: string; description: string }[] {
  return Object.entries(FAULTS).map(([name, { title, section, alert }]) => ({
    name,
    description: `${title}: ${alert} (handbook ${section})`,
  }));
}

export interface DrillPorts {
  environment: Environment;
  version: string;
  clock: Clock;
}

/** A drill that has not ended by then has failed: the slowest verification holds for two minutes. */
const drillLimit = 5 * 60_000;
/** How often the record is read, ms. */
const lookEvery = 100;

/** @throws CatalystError NotFound for a name that is none */
export async function runDrill(
  name: string,
  onEvent: (event: DrillEvent) => void,
  signal: AbortSignal,
  ports: DrillPorts,
): Promise<DrillResult> {
  if (!isFault(name))
    throw new CatalystError('NotFound', `There is no drill ${name}.`, { hint: 'catalyst-sre drill list names them.' });
  const { clock } = ports;
  const dataDir = await mkdtemp(join(tmpdir(), 'catalyst-sre-drill-'));
  const app = await startSandboxApp({
    ...ports,
    dataDir,
    listen: '127.0.0.1:0',
    change: (config) => ({ ...config, telemetry: { ...config.telemetry, logLevel: 'error' } }),
  });
  const started = clock.monotonic();
  const since = () => Math.round(clock.monotonic() - started);
  const measured: Record<string, string> = {};
  const seen = (what: string) => {
    measured[what] ??= `${(since() / 1000).toFixed(1)}s`;
  };
  try {
    const fault = FAULTS[name];
    onEvent({ at: since(), kind: 'fault', sentence: fault.breaks });
    app.sandbox.inject(name);
    let after = 0;
    let end: RecordedEntry | undefined;
    let resolved = false;
    while (since() < drillLimit) {
      signal.throwIfAborted();
      const entries = await readRecord(app.database.db, { after, limit: 500 });
      for (const entry of entries) {
        after = entry.seq;
        const kind = eventKind(entry);
        onEvent({ at: since(), kind, sentence: entry.sentence });
        if (kind === 'alert') seen('time to detect');
        if (kind === 'action') seen('time to act');
        if (entry.kind === 'incident.resolved') seen('time to verified fix');
      }
      end ??= entries.find((entry) => entry.kind === 'run.ended' && !isRefusal(entry));
      // The drill shows the whole way: the incident is over when facts say so of all its alerts.
      resolved ||= entries.some((entry) => entry.kind === 'incident.resolved');
      if (resolved && end) return await concluded(end, name);
      if (end && outcomeOf(end) !== 'Succeeded') return await concluded(end, name);
      await clock.sleep(lookEvery, signal);
    }
    return { passed: false, sentence: `Nothing ended within ${drillLimit / 60_000} minutes.`, took: since(), measured };
  } finally {
    await app.stop();
    await rm(dataDir, { recursive: true, force: true });
  }

  async function concluded(end: RecordedEntry, drill: FaultName): Promise<DrillResult> {
    const outcome = outcomeOf(end);
    const healthy = app.sandbox.isHealthy(drill);
    const chain = await verifyChain(app.database.db);
    const passed = outcome === 'Succeeded' && healthy && chain.intact;
    const world = healthy ? 'The world is whole again' : 'The world is still broken';
    const record = chain.intact ? `and the record of ${chain.entries} entries is intact.` : 'and the record is broken!';
    return {
      passed,
      sentence: `The run ended as ${outcome}: ${end.sentence} ${world}, ${record}`,
      took: since(),
      measured,
    };
  }
}

function outcomeOf({ data }: RecordedEntry): string | undefined {
  return (data as { outcome?: string }).outcome;
}

/** Of several alerts of one fault, one run repairs it, and the others find nothing left to do. */
function isRefusal(entry: RecordedEntry): boolean {
  return outcomeOf(entry) === 'Refused';
}

function isFault(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}

function eventKind({ kind, data }: RecordedEntry): DrillEvent['kind'] {
  if (kind.startsWith('alert.')) return 'alert';
  if (kind.startsWith('incident.')) return 'incident';
  if (kind.startsWith('decision.')) return 'decision';
  if (kind.startsWith('page.')) return 'page';
  const entry = (data as { kind?: string }).kind ?? '';
  if (entry === 'StepStarted') return 'action';
  if (entry.startsWith('Verify')) return 'verification';
  if (entry === 'StepFailed' || entry === 'RollbackStarted') return 'problem';
  return 'note';
}
