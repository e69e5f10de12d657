import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { findSmallDisks, startSmallDisk } from '../../testbed/namespaces.ts';
import { type FailoverEntry, openRecordFile, verifyRecordFile } from './record-file.ts';

const folder = await mkdtemp(join(tmpdir(), 'failover-record-'));
after(() => rm(folder, { recursive: true, force: true }));
let files = 0;
const fresh = () => join(folder, `deep/${files++}/record.jsonl`);
const now = () => Date.UTC(2026, 0, 5);

const entry = (epoch: number, sentence = 'x'): FailoverEntry => ({
  kind: 'acquired',
  group: 'orders',
  region: 'hz-fsn-rtz-prod',
  epoch,
  actor: 'token/anna',
  sentence,
  facts: { hash: ',"hash":"' },
});

async function written(count: number): Promise<string> {
  const path = fresh();
  const record = await openRecordFile(path, now);
  for (let i = 1; i <= count; i++) await record.append(entry(i));
  await record.close();
  return path;
}

describe('the record file', () => {
  it('chains its entries and goes on where it stopped', async () => {
    const path = await written(3);
    const record = await openRecordFile(path, now);
    assert.deepEqual([record.highestEpoch('orders'), record.highestEpoch('other'), record.head().seq], [3, 0, 3]);
    await Promise.all([record.append(entry(4)), record.append(entry(5)), record.append(entry(6))]);
    assert.deepEqual(
      record.recent('orders', 2).map(({ seq, epoch }) => [seq, epoch]),
      [
        [5, 5],
        [6, 6],
      ],
    );
    await record.close();
    const verdict = await verifyRecordFile(path);
    assert.deepEqual([verdict.intact, verdict.entries], [true, 6]);
  });

  it('finds an entry that was changed, taken out, put elsewhere or made up', async () => {
    const lines = (await readFile(await written(4), 'utf8')).trimEnd().split('\n');
    const [one = '', two = '', three = '', four = ''] = lines;
    const changes: [string[], number][] = [
      [[one, two.replace('"epoch":2', '"epoch":7'), three, four], 2],
      [[one, three, four], 2],
      [[one, three, two, four], 2],
      [[two, three, four], 1],
      [[one, two, '{"made":"up"}', four], 3],
      [[one, two, '', four], 3],
    ];
    for (const [changed, brokenAt] of changes) {
      const path = join(folder, `changed-${files++}`);
      await writeFile(path, `${changed.join('\n')}\n`);
      const verdict = await verifyRecordFile(path);
      assert.ok(!verdict.intact);
      assert.equal(verdict.brokenAt, brokenAt);
      await assert.rejects(openRecordFile(path, now), /is broken at entry/);
    }
  });

  it('drops what a crash left of an unfinished line, and nothing else', async () => {
    const path = await written(2);
    await appendFile(path, '{"seq":3,"at":"2026');
    const verdict = await verifyRecordFile(path);
    assert.ok(verdict.intact);
    assert.deepEqual([verdict.entries, verdict.unfinishedBytes], [2, 19]);
    const record = await openRecordFile(path, now);
    await record.append(entry(3, 'ü after a crash'));
    await record.close();
    assert.deepEqual([(await verifyRecordFile(path)).entries, (await verifyRecordFile(path)).intact], [3, true]);
  });

  it('refuses an entry when the disk is full, leaves nothing of it, and goes on when there is room again', async () => {
    const path = await written(1);
    const { size } = await stat(path);
    // A process of its own, whose files may grow by a few hundred bytes: the second entry does not fit as a whole.
    const program = `
      process.on('SIGXFSZ', () => {});
      const { openRecordFile } = await import(${JSON.stringify(new URL('record-file.ts', import.meta.url).href)});
      const record = await openRecordFile(${JSON.stringify(path)}, Date.now);
      const entry = { kind: 'intent', group: 'orders', region: 'r', epoch: 2, actor: 'x', facts: null };
      await record.append({ ...entry, sentence: 'y'.repeat(4000) }).then(
        () => console.log('written'),
        (error) => console.log(error.code, error.message),
      );
      await record.append({ ...entry, sentence: 'short' });
      await record.close();`;
    const limit = Math.ceil((size + 1500) / 1024);
    const script = `ulimit -f ${limit}; exec "$0" --input-type=module -e "$1"`;
    const { stdout } = await promisify(execFile)('bash', ['-c', script, process.execPath, program], {
      timeout: 60_000,
    });
    assert.match(stdout, /^Unavailable The record cannot be written: EFBIG/);
    const verdict = await verifyRecordFile(path);
    assert.deepEqual([verdict.intact, verdict.entries], [true, 2]);
  });

  const smallDisks = findSmallDisks();
  const skip = smallDisks.available ? false : smallDisks.reason;
  it('does so on a real disk that others have filled', { skip }, async (t) => {
    const disk = await startSmallDisk(64 * 1024);
    t.after(() => disk.stop());
    const path = join(disk.outside, 'record.jsonl');
    const record = await openRecordFile(path, now);
    t.after(() => record.close());
    await record.append(entry(1));
    const filler = join(disk.outside, 'filler');
    await assert.rejects(writeFile(filler, Buffer.alloc(128 * 1024)), /ENOSPC/);
    // Longer than what is left of the page the file has, so that a part of it is written.
    for (let i = 0; i < 2; i++)
      await assert.rejects(record.append(entry(2, 'y'.repeat(8000))), /The record cannot be written: ENOSPC/);
    assert.equal(record.head().seq, 1);
    assert.deepEqual(await verifyRecordFile(path).then(({ intact, entries }) => [intact, entries]), [true, 1]);
    await rm(filler);
    await record.append(entry(2, 'y'.repeat(8000)));
    assert.deepEqual(await verifyRecordFile(path).then(({ intact, entries }) => [intact, entries]), [true, 2]);
  });

  it('says that a file is missing', () => assert.rejects(verifyRecordFile(join(folder, 'none')), /cannot be read/));
});
