/** `catalyst-sre serve`: reads the configuration, starts the product, and stops it when asked. */
import type { CliIo } from '../cli/io.ts';
import type { ServeOptions } from '../cli/registry.ts';
import { CatalystError } from '../errors.ts';
import { IntegrationsConfig } from '../integrations/all.ts';
import { type App, startApp } from './app.ts';
import { readConfig } from './config.ts';
import { startSandboxApp } from './sandbox.ts';

/** Where the sandbox keeps its things when nobody says. */
const sandboxDirectory = './.catalyst-sre';

/** Resolves when the server has stopped. */
export async function serve(options: ServeOptions, version: string, io: CliIo): Promise<void> {
  const app = options.sandbox ? await serveSandbox(options, version, io) : await serveConfigured(options, version, io);
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) return resolve();
    io.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  io.err('Stopping: what is being done right now is finished first.');
  await app.stop();
}

async function serveConfigured(options: ServeOptions, version: string, io: CliIo): Promise<App> {
  if (options.config === undefined) {
    throw new CatalystError('BadRequest', 'serve needs a configuration.', {
      hint: 'Give one with --config FILE, or try it out with --sandbox.',
    });
  }
  if (options.drills) {
    throw new CatalystError('BadRequest', 'Drills break things on purpose, and are for the sandbox only.', {
      hint: 'Start it with --sandbox --drills.',
    });
  }
  const config = await readConfig(options.config, IntegrationsConfig);
  const app = await startApp({
    config: {
      ...config,
      ...(options.listen === undefined ? {} : { listen: options.listen }),
      ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    },
    environment: io.environment,
    version,
    clock: io.clock,
  });
  io.err(`Catalyst SRE listens at ${app.url}.`);
  return app;
}

async function serveSandbox(options: ServeOptions, version: string, io: CliIo): Promise<App> {
  const dataDir = options.dataDir ?? sandboxDirectory;
  const app = await startSandboxApp({
    dataDir,
    environment: io.environment,
    version,
    clock: io.clock,
    drills: options.drills,
    ...(options.listen === undefined ? {} : { listen: options.listen }),
  });
  const { kubernetes, prometheus, alertmanager } = app.sandbox;
  io.err(`Catalyst SRE is ready, beside a pocket Sovereign. Open the console:

  ${app.loginUrl}

It logs one browser in, once. There, press "Start a drill", and watch something break and be fixed.
For another browser: npx catalyst-sre login

  Kubernetes    ${kubernetes.url}
  Prometheus    ${prometheus.url}
  Alertmanager  ${alertmanager.url}

The same in another terminal in this folder:
  npx catalyst-sre drill openbao-sealed       break something here, and watch an alert turn into a verified fix
  npx catalyst-sre get incidents              what happened
  npx catalyst-sre audit verify               the record, checked

Ctrl-C stops it.`);
  return app;
}
