import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { findSmallDisks, startSmallDisk } from '../../../testbed/namespaces.ts';
import { VirtualClock } from '../../clock.ts';
import type { Lease, LeaseVersion } from '../lease.ts';
import { type LeaseFile, openLeaseFile } from './lease-file.ts';

const folders: string[] = [];
const open: LeaseFile[] = [];
afterEach(async () => {
  for (const file of open.splice(0)) await file.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'witness-'));
  folders.push(folder);
  return folder;
}

function openFile(directory: string, clock = new VirtualClock(), onCommit?: (writes: number) => void): LeaseFile {
  const file = openLeaseFile({ directory, clock, ...(onCommit ? { onCommit } : {}) });
  open.push(file);
  return file;
}

function lease(group: string, before: LeaseVersion | undefined, more: Partial<Lease> = {}): Lease {
  return {
    group,
    holder: 'fsn',
    epoch: 1,
    seq: (before?.seq ?? 0) + 1,
    ttlMs: 30_000,
    nonce: `n${before?.seq ?? 0}`,
    acquiredBy: { mode: 'Automatic', actor: 'fsn', reason: 'test' },
    payload: null,
    ...more,
  };
}

test('writes that arrive together share a commit, and only one of them wins a version', async () => {
  const commits: number[] = [];
  const file = openFile(newFolder(), undefined, (writes) => commits.push(writes));
  const contenders = Array.from({ length: 40 }, (_, i) => lease('shop', undefined, { nonce: `c${i}` }));
  const others = Array.from({ length: 40 }, (_, i) => lease(`g${i}`, undefined));
  const answers = await Promise.all(
    [...contenders, ...others].map((next) => file.compareAndSet(next.group, undefined, next)),
  );
  assert.equal(commits.length, 1);
  assert.equal(answers.slice(0, 40).filter(({ result }) => result === 'applied').length, 1);
  assert.ok(answers.slice(40).every(({ result }) => result === 'applied'));
  assert.equal(file.groups(), 41);
});

test('what was answered is there after a new start, and counts its expiry from then', async () => {
  const folder = newFolder();
  const clock = new VirtualClock();
  const first = openFile(folder, clock);
  await first.compareAndSet('shop', undefined, lease('shop', undefined));
  await clock.advance(29_000);
  assert.equal(first.read('shop').expired, false);
  await clock.advance(2_000);
  assert.equal(first.read('shop').expired, true);
  await first.close();
  const second = openFile(folder, clock);
  // Nobody knows how long it was away: a lease that may still hold is not called expired.
  assert.deepEqual(second.read('shop'), { lease: lease('shop', undefined), expired: false });
  await clock.advance(30_001);
  assert.equal(second.read('shop').expired, true);
});

/** A process of its own that has the file open as `file`, and runs `script`; `wrap` is what a shell runs it by, for limits. */
function inProcess(folder: string, script: string, wrap = 'exec'): { child: ChildProcess; line(): Promise<string> } {
  const program = `
    const { openLeaseFile } = await import(${JSON.stringify(new URL('./lease-file.ts', import.meta.url).href)});
    const { systemClock } = await import(${JSON.stringify(new URL('../../clock.ts', import.meta.url).href)});
    const file = openLeaseFile({ directory: ${JSON.stringify(folder)}, clock: systemClock });
    const first = ${JSON.stringify(lease('shop', undefined))};
    await file.compareAndSet('shop', undefined, first);
    ${script}
    setInterval(() => {}, 1000);`;
  const child = spawn('sh', ['-c', `${wrap} "$0" --input-type=module -e "$1"`, process.execPath, program]);
  const errors: string[] = [];
  child.stderr.on('data', (data) => errors.push(String(data)));
  return {
    child,
    line: () =>
      new Promise((resolve, reject) => {
        child.stdout.once('data', (data) => resolve(String(data)));
        child.once('exit', () => reject(new Error(errors.join(''))));
      }),
  };
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

test('a second process on the same file is refused, and let in after a kill -9 of the first', async () => {
  const folder = newFolder();
  const { child, line } = inProcess(folder, `console.log('open');`);
  await line();
  try {
    assert.throws(() => openFile(folder), /Another process keeps its leases/);
  } finally {
    await kill(child);
  }
  assert.equal(openFile(folder).read('shop').lease?.seq, 1);
});

test('a torn write at the end of the log is dropped, and everything before it is there', async () => {
  const folder = newFolder();
  const file = openFile(folder);
  let held: Lease | undefined;
  for (let i = 0; i < 20; i++) {
    const next = lease('shop', held);
    await file.compareAndSet('shop', held, next);
    held = next;
  }
  const log = 'leases.sqlite-wal';
  for (const [what, tear] of [
    ['half a frame more', (path: string) => appendFileSync(path, Buffer.alloc(2_000, 7))],
    ['a whole frame of noise more', (path: string) => appendFileSync(path, Buffer.alloc(4_120, 7))],
    ['the last frame cut short', (path: string) => truncateSync(path, statSync(path).size - 100)],
  ] as const) {
    // The files as a crash leaves them: copied while they are open.
    const image = newFolder();
    cpSync(folder, image, { recursive: true });
    tear(join(image, log));
    const recovered = openFile(image).read('shop').lease;
    // What is cut short is a commit that was never fsynced, so never answered; here it was the twentieth.
    assert.equal(recovered?.seq, what.includes('cut') ? 19 : 20, what);
  }
});

test('the files do not grow with the number of renewals', async () => {
  const folder = newFolder();
  const file = openFile(folder);
  const groups = Array.from({ length: 40 }, (_, i) => `g${i}`);
  let held: (Lease | undefined)[] = groups.map(() => undefined);
  for (let round = 0; round < 60; round++) {
    const next = groups.map((group, i) => lease(group, held[i], { payload: 'x'.repeat(8_000) }));
    await Promise.all(next.map((each, i) => file.compareAndSet(each.group, held[i], each)));
    held = next;
  }
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  // Nineteen mebibytes went through; SQLite folds its log back whenever it has reached about four.
  assert.ok(bytes < 6 * 1024 * 1024, `${bytes} bytes`);
});

test('a write that fails stops the witness: it is unknown, nothing is answered after it, nothing answered is lost', async () => {
  const folder = newFolder();
  // A limit on the size of files (of 512 bytes each) fails a write as a broken disk does; its signal is ignored.
  const { child, line } = inProcess(
    folder,
    `let held = first, said;
     for (let i = 0; i < 1000 && !said; i++) {
       const next = { ...held, seq: held.seq + 1, payload: 'x'.repeat(8000) };
       await file.compareAndSet('shop', held, next).then(() => { held = next; }, (error) => { said = error; });
     }
     let read; try { file.read('shop'); } catch (error) { read = error.code; }
     let write; await file.compareAndSet('shop', held, { ...held, seq: held.seq + 1 }).catch((error) => { write = error.code; });
     console.log(JSON.stringify({ answered: held.seq, code: said?.code, certain: said?.certain, read, write, failure: file.failure() }));`,
    `trap '' XFSZ; ulimit -f 400; exec`,
  );
  const told = JSON.parse(await line()) as Record<string, unknown>;
  await kill(child);
  assert.ok(Number(told.answered) > 5, JSON.stringify(told));
  assert.deepEqual(
    [told.code, told.certain, told.read, told.write],
    ['Unavailable', false, 'Unavailable', 'Unavailable'],
  );
  assert.match(String(told.failure), /full|I\/O/);
  assert.ok((openFile(folder).read('shop').lease?.seq ?? 0) >= Number(told.answered));
});

const smallDisks = findSmallDisks();
const skip = smallDisks.available ? false : smallDisks.reason;
test('on a full disk nothing is taken and everything is still read; with room it goes on', { skip }, async (t) => {
  const disk = await startSmallDisk(512 * 1024);
  t.after(() => disk.stop());
  const { child, line } = inProcess(
    disk.path,
    `const { openSync, writeSync, fsyncSync, rmSync } = await import('node:fs');
     const filler = openSync(${JSON.stringify(join(disk.path, 'filler'))}, 'w');
     const fill = () => { try { for (;;) writeSync(filler, Buffer.alloc(4096)); } catch (error) { return error.code; } };
     let held = first;
     const write = async () => {
       const next = { ...held, seq: held.seq + 1, payload: 'x'.repeat(8000) };
       return file.compareAndSet('shop', held, next).then(
         ({ result }) => { held = next; return result; },
         ({ code, certain }) => code + ' ' + certain,
       );
     };
     const look = () => [file.read('shop').lease.seq, file.failure() !== undefined];
     const told = [await write(), fill()];
     // What the log has allocated already may still take a page.
     let attempt; for (let i = 0; i < 3; i++) attempt = await write();
     told.push(attempt, held.seq === look()[0], look()[1], await write());
     rmSync(${JSON.stringify(join(disk.path, 'filler'))}); const { closeSync } = await import('node:fs'); closeSync(filler);
     told.push(await write(), held.seq === look()[0], look()[1]);
     console.log(JSON.stringify(told));`,
    `exec ${disk.enter.join(' ')}`,
  );
  const told = JSON.parse(await line()) as unknown[];
  await kill(child);
  const refused = 'Unavailable true';
  assert.deepEqual(told, ['applied', 'ENOSPC', refused, true, true, refused, 'applied', true, false]);
});

test('a file that is no database is refused, and left as it is', () => {
  const folder = newFolder();
  writeFileSync(join(folder, 'leases.sqlite'), 'this is no database, but somebody put it there');
  assert.throws(() => openFile(folder), /cannot be used: .*not a database/);
  assert.match(readFileSync(join(folder, 'leases.sqlite'), 'utf8'), /somebody put it there/);
});

test('refuses what a lease cannot follow, and what its authorizer forbids', async () => {
  const file = openFile(newFolder());
  await file.compareAndSet('shop', undefined, lease('shop', undefined));
  const seen: (number | undefined)[] = [];
  await assert.rejects(
    file.compareAndSet('shop', { epoch: 1, seq: 1 }, lease('shop', { epoch: 1, seq: 1 }), (current) => {
      seen.push(current?.seq);
      throw new Error('not yours');
    }),
    /not yours/,
  );
  assert.deepEqual(seen, [1]);
  assert.equal(file.read('shop').lease?.seq, 1);
  assert.deepEqual(await file.compareAndSet('shop', { epoch: 1, seq: 9 }, lease('shop', { epoch: 1, seq: 9 })), {
    result: 'conflict',
    current: lease('shop', undefined),
  });
});
