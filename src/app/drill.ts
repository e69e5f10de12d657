/** A game day in a pocket Sovereign of its own, which is gone afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrillEvent, DrillResult } from '../api/ports.ts';
import type { Clock } from '../clock.ts';
import { breakAndWatch, faultNamed } from './drills.ts';
import type { Environment } from './options.ts';
import { startSandboxApp } from './sandbox.ts';

export interface DrillPorts {
  environment: Environment;
  version: string;
  clock: Clock;
}

/** In a pocket Sovereign of its own, which is gone afterwards. @throws CatalystError NotFound for a name that is none */
export async function runDrill(
  name: string,
  onEvent: (event: DrillEvent) => void,
  signal: AbortSignal,
  ports: DrillPorts,
): Promise<DrillResult> {
  const fault = faultNamed(name);
  const dataDir = await mkdtemp(join(tmpdir(), 'catalyst-sre-drill-'));
  const app = await startSandboxApp({
    ...ports,
    dataDir,
    listen: '127.0.0.1:0',
    change: (config) => ({ ...config, telemetry: { ...config.telemetry, logLevel: 'error' } }),
  });
  try {
    return await breakAndWatch(
      fault,
      'drill',
      { sandbox: app.sandbox, db: app.database.db, clock: ports.clock },
      onEvent,
      signal,
    );
  } finally {
    await app.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
