/** `catalyst-sre gate`: the sidecar, from its flags. */
import { resolve } from 'node:path';
import type { CliIo } from '../cli/io.ts';
import type { GateOptions } from '../cli/registry.ts';
import { CatalystError } from '../errors.ts';
import { createElapsed } from '../failover/elapsed-clock.ts';
import { gateKeysOf } from '../failover/layers/gate-answer.ts';
import { startSidecar } from '../failover/layers/gate-sidecar.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { parseListen } from './listen.ts';

/** Resolves when it has stopped. */
export async function runGate(options: GateOptions, io: CliIo): Promise<void> {
  const url = URL.canParse(options.controller) ? new URL(options.controller) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new CatalystError('BadRequest', `${options.controller} is not the URL of a controller.`, {
      hint: 'Write it like http://127.0.0.1:8480.',
    });
  const sidecar = await startSidecar({
    group: options.group,
    controller: url.origin,
    // What stands in front of a port is in front of what writes; a readiness probe is asked about traffic.
    layer: options.layer ?? (options.protect.length > 0 ? 'stateful' : 'traffic'),
    keys: await keysReader(options, io),
    listen: parseListen(options.listen),
    forward: options.protect.map(parsePair),
    elapsed: createElapsed(),
    clock: io.clock,
    onRefused: (why) => io.err(`The controller of ${options.group} is not believed: ${why}.`),
    onChange: ({ open, sentence }) => io.err(`The gate of ${options.group} is ${open ? '' : 'shut, '}${sentence}.`),
  });
  io.err(`The gate of ${options.group} is answered at ${sidecar.url}/gate/${options.group}.`);
  await new Promise<void>((done) => {
    if (io.signal.aborted) return done();
    io.signal.addEventListener('abort', () => done(), { once: true });
  });
  await sidecar.stop();
}

async function keysReader({ keyFile }: GateOptions, io: CliIo) {
  if (keyFile === undefined) return undefined;
  const secrets = createSecrets({});
  const read = async () => gateKeysOf(await secrets.read({ file: resolve(io.directory, keyFile) }));
  // A wrong one is told at the start.
  await read();
  return read;
}

/** `0.0.0.0:5432=127.0.0.1:15432` */
function parsePair(text: string) {
  const [listen = '', to, more] = text.split('=');
  if (to === undefined || more !== undefined)
    throw new CatalystError('BadRequest', `${text} does not say what is protected.`, {
      hint: 'Write LISTEN=TARGET, such as 0.0.0.0:5432=127.0.0.1:15432.',
    });
  return { listen: parseListen(listen), to: parseListen(to) };
}
