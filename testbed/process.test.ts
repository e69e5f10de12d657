import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { answers, findPrograms, freePort, startServer, temporaryDirectory, waitUntil, withLimit } from './process.ts';
import { describeReal } from './real.ts';

/** A process that starts a server and a directory, says which, and then behaves as told. */
const OWNER = `
  import { startServer, temporaryDirectory } from ${JSON.stringify(join(import.meta.dirname, 'process.ts'))};
  const server = startServer({ name: 'sleep', program: '/bin/sleep', args: ['300'] });
  const { path } = temporaryDirectory('owned');
  console.log(JSON.stringify({ server: server.pid, path }));
`;
const STAY = 'setInterval(() => {}, 1000);';
const LIMIT_MS = 20_000;

describeReal(
  'servers of the testbed',
  () => findPrograms(['sleep'], ['/bin']),
  () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      test(`are gone with their data when the test process gets ${signal}`, async () => {
        const { owner, server, path } = await startOwner(STAY);
        owner.kill(signal);
        assert.deepEqual(await withLimit(once(owner, 'exit'), LIMIT_MS), [null, signal], 'it still dies of the signal');
        await waitUntil('the end of the server', LIMIT_MS, () => !isAlive(server));
        assert.equal(existsSync(path), false);
      });
    }

    test('are gone when the test process is killed, and the next one removes their data', async () => {
      const { owner, server, path } = await startOwner(STAY);
      owner.kill('SIGKILL');
      await withLimit(once(owner, 'exit'), LIMIT_MS);
      await waitUntil('the end of the server', LIMIT_MS, () => !isAlive(server));
      assert.equal(existsSync(path), true);
      temporaryDirectory('next').remove();
      assert.equal(existsSync(path), false);
    });

    test('do not keep the test process alive, and are gone when it ends or fails', async () => {
      for (const [end, code] of [
        ['', 0],
        ['throw new Error("test");', 1],
      ] as const) {
        const { owner, server, path } = await startOwner(end);
        assert.deepEqual(await withLimit(once(owner, 'exit'), LIMIT_MS), [code, null]);
        await waitUntil('the end of the server', LIMIT_MS, () => !isAlive(server));
        assert.equal(existsSync(path), false);
      }
    });

    test('are killed when they do not end in order', async () => {
      const program = process.execPath;
      const deaf = `process.on('SIGTERM', () => console.log('no')); console.log('up'); setInterval(() => {}, 1000);`;
      const server = startServer({ name: 'deaf', program, args: ['-e', deaf], stopLimitMs: 500 });
      await waitUntil('the server', LIMIT_MS, () => server.logs() === 'up', [server]);
      await server.stop();
      assert.equal(server.ended(), 'SIGKILL');
      assert.equal(server.logs(), 'up\nno');
      await server.stop();
    });

    test('that end too early are reported with their last words', async () => {
      const server = startServer({ name: 'short', program: '/bin/sh', args: ['-c', 'echo no disk >&2; exit 3'] });
      const port = await freePort();
      await assert.rejects(
        waitUntil('short', LIMIT_MS, () => answers(`http://127.0.0.1:${port}/`), [server]),
        /^Error: short: short ended \(exit 3\)\n--- last lines of short:\nno disk$/,
      );
    });

    test('that never answer are reported with the last refusal', async () => {
      const server = startServer({ name: 'mute', program: '/bin/sleep', args: ['300'] });
      const port = await freePort();
      await assert.rejects(
        waitUntil('mute', 200, () => answers(`http://127.0.0.1:${port}/`), [server]),
        /mute: not within 0\.2 s; last answer: fetch failed: connect ECONNREFUSED/,
      );
      await server.stop();
    });
  },
);

test('a program that is absent is named, with the remedy', () => {
  assert.deepEqual(findPrograms(['no-such-program'], ['/usr/bin'], 'install it'), {
    available: false,
    reason: 'no-such-program is not installed; install it',
  });
});

for (const { ci, outcome } of [
  { ci: 'true', outcome: /not ok 1 - real thing\n[\s\S]*CI=true allows no skipped counterpart: it is not installed/ },
  { ci: '', outcome: /ok 1 - real thing # SKIP it is not installed/ },
]) {
  test(`a counterpart that is absent is ${ci === 'true' ? 'a failure in CI' : 'skipped by name'}`, async () => {
    const code = `
      import { describeReal } from ${JSON.stringify(join(import.meta.dirname, 'real.ts'))};
      describeReal('real thing', () => ({ available: false, reason: 'it is not installed' }), () => {});
    `;
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(process.execPath, ['--test-reporter=tap', '--input-type=module', '-e', code], {
      env: { ...env, CI: ci },
    });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += String(chunk);
    });
    const [exitCode] = await withLimit(once(child, 'close'), LIMIT_MS);
    assert.match(text, outcome);
    assert.equal(exitCode, ci === 'true' ? 1 : 0);
  });
}

async function startOwner(end: string): Promise<{ owner: ChildProcess; server: number; path: string }> {
  const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER + end], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = await withLimit(once(createInterface(owner.stdout), 'line'), LIMIT_MS);
  return { owner, ...(JSON.parse(line) as { server: number; path: string }) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
