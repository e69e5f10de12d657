/** For tests: a terminal with the command line in it, a server that answers from memory, and a folder to stand in. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFixture, type Fixture, startApi } from '../api/api-fixture.ts';
import type { Api } from '../api/fastify.ts';
import { systemClock } from '../clock.ts';
import type { CliIo } from './io.ts';
import type { Registry } from './registry.ts';
import { runCli } from './run-cli.ts';

interface Result {
  code: number;
  out: string;
  err: string;
}
interface Session {
  out: () => string;
  /** Resolves when data or messages match. */
  sees(pattern: RegExp): Promise<void>;
  ended: Promise<Result>;
}

export function terminal() {
  let stop = new AbortController();
  const t = {
    fixture: undefined as unknown as Fixture,
    app: undefined as unknown as Api,
    server: '',
    folder: '',
    /** Ctrl-C. */
    interrupt: () => stop.abort(),
    open: async () => {
      t.fixture = createFixture();
      t.app = await startApi(t.fixture);
      await t.app.listen({ host: '127.0.0.1', port: 0 });
      t.server = `http://127.0.0.1:${(t.app.server.address() as AddressInfo).port}`;
      t.folder = await mkdtemp(join(tmpdir(), 'cli-'));
      stop = new AbortController();
    },
    close: async () => {
      stop.abort();
      await t.app.close();
      await rm(t.folder, { recursive: true });
    },
    start: (argv: string[], change: Partial<CliIo> = {}, registry: Registry = { version: '1.2.3' }): Session => {
      let out = '';
      let err = '';
      let notify = () => {};
      const io: CliIo = {
        out: (text) => {
          out += `${text}\n`;
          notify();
        },
        err: (text) => {
          err += `${text}\n`;
          notify();
        },
        terminal: false,
        environment: { CATALYST_SRE_SERVER: t.server, CATALYST_SRE_TOKEN: 'root-token' },
        home: t.folder,
        directory: t.folder,
        clock: { ...systemClock, now: () => Date.UTC(2026, 0, 5, 12, 5) },
        fetch,
        signal: stop.signal,
        ...change,
      };
      return {
        out: () => out,
        sees: async (pattern) => {
          while (!pattern.test(out + err))
            await new Promise<void>((resolve) => {
              notify = resolve;
            });
        },
        ended: runCli(argv, io, registry).then((code) => ({ code, out, err })),
      };
    },
    cli: (argv: string[], change?: Partial<CliIo>, registry?: Registry) => t.start(argv, change, registry).ended,
  };
  return t;
}
