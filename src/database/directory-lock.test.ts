import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { furnish } from '../../test/fresh-database.ts';
import { lockDataDirectory } from './directory-lock.ts';
import { openDatabase } from './open.ts';

async function emptyDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'catalyst-sre-lock-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Another process that tries for the lock, says what came of it, and keeps what it got until it is killed. */
function contender(directory: string): { process: ChildProcess; said: Promise<string> } {
  const script = `
    import { lockDataDirectory } from ${JSON.stringify(join(import.meta.dirname, 'directory-lock.ts'))};
    await lockDataDirectory(${JSON.stringify(directory)}).then(() => console.log('got it'), (e) => console.log(e.message));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  return { process: child, said };
}

const gone = (child: ChildProcess) => new Promise((resolve) => child.once('exit', resolve));

test('a second process on one data directory is refused, and told who has it', async () => {
  await using directory = await emptyDirectory();
  await furnish(directory.path);
  const first = await openDatabase({ kind: 'embedded', directory: directory.path });
  const second = contender(directory.path);
  assert.match(await second.said, new RegExp(`Process ${process.pid} already uses the data directory`));
  await assert.rejects(openDatabase({ kind: 'embedded', directory: directory.path }), {
    code: 'Conflict',
    hint: /--data-dir/,
  });
  second.process.kill('SIGKILL');
  await gone(second.process);
  await first.ping();
  await first.close();
  const next = await openDatabase({ kind: 'embedded', directory: directory.path });
  await next.close();
});

test('what a killed process held is free at once, and of many who then come exactly one has it', async () => {
  await using directory = await emptyDirectory();
  const dead = contender(directory.path);
  assert.equal(await dead.said, 'got it');
  dead.process.kill('SIGKILL');
  await gone(dead.process);

  const many = Array.from({ length: 4 }, () => contender(directory.path));
  const said = await Promise.all(many.map((one) => one.said));
  assert.equal(said.filter((line) => line === 'got it').length, 1, said.join('\n'));
  for (const { process: child } of many) child.kill('SIGKILL');
  await Promise.all(many.map((one) => gone(one.process)));
  (await lockDataDirectory(directory.path)).release();
});

test('a directory that cannot be locked says so, and what to do', async () => {
  await assert.rejects(lockDataDirectory('/proc/self/no-such-directory'), {
    code: 'Unavailable',
    message: /cannot be locked/,
    hint: /writable/,
  });
});
