/** `catalyst-sre witness` as a person runs it: a key, a service in a process of its own, a check, a look. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createRegistry } from '../../src/app/registry.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import { systemClock } from '../../src/clock.ts';
import { answers, freePort, type Server, startServer, temporaryDirectory, waitUntil } from '../../testbed/process.ts';

describe('catalyst-sre witness', () => {
  const directory = temporaryDirectory('witness-command');
  const keyFile = join(directory.path, 'fsn.key');
  const config = join(directory.path, 'failover.yaml');
  let server: Server | undefined;

  async function run(...argv: string[]) {
    const out: string[] = [];
    const err: string[] = [];
    const io: CliIo = {
      out: (text) => out.push(text),
      err: (text) => err.push(text),
      terminal: false,
      environment: {},
      home: directory.path,
      directory: directory.path,
      clock: systemClock,
      fetch,
      signal: AbortSignal.timeout(60_000),
    };
    const code = await runCli(
      argv,
      io,
      createRegistry({ environment: {}, home: directory.path, directory: directory.path, version: 'test' }),
    );
    return { code, out: out.join('\n'), err: err.join('\n') };
  }

  before(async () => {
    const { out, code } = await run('witness', 'key', '--out', keyFile);
    assert.equal(code, 0);
    const port = await freePort();
    server = startServer({
      name: 'witness',
      program: process.execPath,
      args: [
        resolve(import.meta.dirname, '../../src/main.ts'),
        ...[
          'witness',
          '--listen',
          `127.0.0.1:${port}`,
          '--data',
          join(directory.path, 'data'),
          '--region',
          `fsn=${out}`,
        ],
      ],
    });
    await waitUntil('the witness', 60_000, () => answers(`http://127.0.0.1:${port}/healthz`), [server]);
    writeFileSync(
      config,
      `region: fsn\nprivateKeyFile: ${keyFile}\nwitnesses:\n  - { name: own, http: { url: 'http://127.0.0.1:${port}' } }\n`,
    );
  });
  after(async () => {
    await server?.stop();
    directory.remove();
  });

  test('a key is for its owner alone, and never replaced', async () => {
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
    const before = readFileSync(keyFile, 'utf8');
    const { code, err } = await run('witness', 'key', '--out', keyFile);
    assert.equal(code, 2);
    assert.match(err, /never replaced/);
    assert.equal(readFileSync(keyFile, 'utf8'), before);
  });

  test('a check says what holds, and leaves one small lease of its own', async () => {
    const { code, out, err } = await run('witness', 'check', '--config', config);
    assert.equal(code, 0, err);
    assert.match(out, /own: passed: one of many concurrent acquisitions wins/);
    assert.match(out, /own: \w+: half of the calls within \d+ ms/);
    assert.match(err, /Every witness can hold a lease/);
    const seen = await run('witness', 'get', 'self-check-fsn', '--config', config);
    assert.match(seen.out, /own +fsn +\d+ +\d+/);
    const none = JSON.parse((await run('witness', 'get', 'shop', '--config', config, '-o', 'json')).out) as {
      items: object[];
    };
    assert.deepEqual((none.items[0] as { lease: unknown }).lease, null);
  });

  test('a witness that is away fails the check with the reason, and its exit code', async () => {
    const away = join(directory.path, 'away.yaml');
    writeFileSync(away, readFileSync(config, 'utf8').replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1'));
    const { code, out, err } = await run('witness', 'check', '--config', away);
    assert.equal(code, 4);
    assert.match(out, /own: failed: .*could not be reached/);
    assert.match(err, /Must not hold a lease: own/);
    assert.equal((await run('witness', 'get', 'shop', '--config', away)).code, 1);
  });

  test('what is wrong is said before anything starts', async () => {
    const wrong: [string[], RegExp][] = [
      [['witness', '--data', 'd'], /needs to know its regions/],
      [['witness', '--region', 'fsn=abc', '--data', 'd'], /publicKey/],
      [['witness', '--region', 'fsn', '--data', 'd'], /name/],
      [['witness', '--config', 'nowhere.yaml'], /cannot be read/],
      [['witness', 'check', '--config', config, '--witness', 'other'], /no witness "other".*: own/],
    ];
    for (const [argv, expected] of wrong) {
      const { code, err } = await run(...argv);
      assert.notEqual(code, 0);
      assert.match(err, expected);
    }
    assert.equal(existsSync(join(directory.path, 'd')), false);
  });
});
