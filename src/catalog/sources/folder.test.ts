import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock, VirtualClock } from '../../clock.ts';
import type { CatalogSource, SourceSnapshot } from '../source.ts';
import { maxFileBytes } from './file-rules.ts';
import { createFolderSource, type FolderSourceOptions } from './folder.ts';

/** Longer than any machine needs to tell of a change. */
const patienceMs = 5_000;

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'folder-source-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Starts a source and lets the test wait for a snapshot. */
async function started(t: TestContext, path: string, options: Partial<FolderSourceOptions> = {}) {
  const source = createFolderSource({ path, clock: systemClock, ...options });
  t.after(() => source.stop());
  return { source, ...(await follow(source)) };
}

async function follow(source: CatalogSource) {
  const seen: SourceSnapshot[] = [];
  let told = Promise.withResolvers<void>();
  await source.start((snapshot) => {
    seen.push(snapshot);
    told.resolve();
    told = Promise.withResolvers();
  });
  const until = async (wanted: (snapshot: SourceSnapshot) => boolean): Promise<SourceSnapshot> => {
    const limit = AbortSignal.timeout(patienceMs);
    const late = new Promise<never>((_, reject) =>
      limit.addEventListener('abort', () => reject(new Error(`not seen: ${JSON.stringify(seen.at(-1))}`))),
    );
    for (;;) {
      const last = seen.at(-1);
      if (last && wanted(last)) return last;
      await Promise.race([told.promise, late]);
    }
  };
  return { seen, until };
}

const texts = ({ documents }: SourceSnapshot) => Object.fromEntries(documents.map(({ file, text }) => [file, text]));
const rules = ({ problems }: SourceSnapshot) => problems.map(({ file, rule }) => `${file} ${rule}`).toSorted();

test('reads YAML files of all folders but hidden ones and tests', async (t) => {
  const path = await folder(t);
  for (const sub of ['sub/deeper', '.git', 'tests', 'sub/tests']) await mkdir(join(path, sub), { recursive: true });
  const files = [
    'b.yml',
    'a.yaml',
    'readme.md',
    '.hidden.yaml',
    '.git/c.yaml',
    'tests/t.yaml',
    'sub/tests/t.yaml',
    'sub/deeper/d.yaml',
  ];
  for (const file of files) await writeFile(join(path, file), `text of ${file}`);
  const plain = await started(t, path, { watch: false });
  assert.deepEqual(Object.keys(texts(plain.seen[0] as SourceSnapshot)), ['a.yaml', 'b.yml', 'sub/deeper/d.yaml']);
  assert.equal(texts(plain.seen[0] as SourceSnapshot)['a.yaml'], 'text of a.yaml');
  const all = await started(t, path, { watch: false, withTests: true });
  assert.deepEqual(Object.keys(texts(all.seen[0] as SourceSnapshot)).toSorted(), [
    'a.yaml',
    'b.yml',
    'sub/deeper/d.yaml',
    'sub/tests/t.yaml',
    'tests/t.yaml',
  ]);
});

test('what is too large, not text, no file or outside the folder is refused, and the rest is read', async (t) => {
  const path = await folder(t);
  const outside = await folder(t);
  await writeFile(join(outside, 'secret.yaml'), 'secret');
  await mkdir(join(outside, 'more'));
  await writeFile(join(outside, 'more', 'secret.yaml'), 'secret');
  await writeFile(join(path, 'large.yaml'), Buffer.alloc(maxFileBytes + 1, 'x'));
  await writeFile(join(path, 'most.yaml'), Buffer.alloc(maxFileBytes, 'x'));
  await writeFile(join(path, 'latin1.yaml'), Buffer.from([0x61, 0xe4]));
  await mkdir(join(path, 'folder.yaml'));
  await symlink(join(outside, 'secret.yaml'), join(path, 'link.yaml'));
  await symlink(join(outside, 'more'), join(path, 'links'));
  await symlink('/nowhere/at/all', join(path, 'dangling.yaml'));
  await symlink('loop.yaml', join(path, 'loop.yaml'));
  await symlink('..', join(path, 'folder.yaml', 'up'));
  await symlink('good.yaml', join(path, 'alias.yaml'));
  await writeFile(join(path, 'good.yaml'), 'good');
  const { seen } = await started(t, path, { watch: false });
  const [snapshot] = seen as [SourceSnapshot];
  assert.deepEqual(Object.keys(texts(snapshot)), ['alias.yaml', 'good.yaml', 'most.yaml']);
  assert.deepEqual(rules(snapshot), [
    'dangling.yaml file-unreadable',
    'large.yaml file-too-large',
    'latin1.yaml not-utf8',
    'link.yaml link-leaves-folder',
    'loop.yaml file-unreadable',
  ]);
  assert.doesNotMatch(JSON.stringify(snapshot), /secret"/);
});

test('a folder of another place behind a link is told when it is named like a document only', async (t) => {
  const path = await folder(t);
  const outside = await folder(t);
  await symlink(outside, join(path, 'more.yaml'));
  const { seen } = await started(t, path, { watch: false });
  assert.deepEqual(rules(seen[0] as SourceSnapshot), ['more.yaml link-leaves-folder']);
});

test('a mounted ConfigMap is read, and its swap is noticed as one change', async (t) => {
  const path = await folder(t);
  const mount = async (version: string, files: Record<string, string>) => {
    for (const [file, text] of Object.entries(files)) {
      await mkdir(join(path, version, file, '..'), { recursive: true });
      await writeFile(join(path, version, file), text);
    }
    await symlink(version, join(path, '..data_tmp'));
    await rename(join(path, '..data_tmp'), join(path, '..data'));
  };
  await mount('..2026_01_05', { 'a.yaml': '1', 'b.yaml': '1', 'sub/c.yaml': '1' });
  for (const name of ['a.yaml', 'b.yaml', 'sub']) await symlink(join('..data', name), join(path, name));
  const { seen, until } = await started(t, path, { pollMs: 3_600_000 });
  assert.deepEqual(texts(seen[0] as SourceSnapshot), { 'a.yaml': '1', 'b.yaml': '1', 'sub/c.yaml': '1' });
  assert.deepEqual(rules(seen[0] as SourceSnapshot), []);
  await mount('..2026_01_06', { 'a.yaml': '2', 'b.yaml': '2', 'sub/c.yaml': '2' });
  const after = await until((snapshot) => texts(snapshot)['a.yaml'] === '2');
  assert.deepEqual(texts(after), { 'a.yaml': '2', 'b.yaml': '2', 'sub/c.yaml': '2' });
  assert.equal(seen.length, 2);
});

test('notices files that are written, moved and deleted, in new folders, too', async (t) => {
  const path = await folder(t);
  const { until } = await started(t, path, { pollMs: 3_600_000 });
  await mkdir(join(path, 'sub'));
  await writeFile(join(path, 'sub', 'a.yaml'), '1');
  await until((snapshot) => texts(snapshot)['sub/a.yaml'] === '1');
  await writeFile(join(path, 'sub', 'a.yaml'), '2');
  await until((snapshot) => texts(snapshot)['sub/a.yaml'] === '2');
  await rename(join(path, 'sub', 'a.yaml'), join(path, 'b.yaml'));
  await until((snapshot) => texts(snapshot)['b.yaml'] === '2' && snapshot.documents.length === 1);
  await rm(join(path, 'b.yaml'));
  await until((snapshot) => snapshot.documents.length === 0);
});

test('a folder that is away is a problem; what was read goes on serving, and polling finds it again', async (t) => {
  const path = await folder(t);
  const clock = new VirtualClock();
  await writeFile(join(path, 'a.yaml'), '1');
  const source = createFolderSource({ path, clock, pollMs: 10_000 });
  t.after(() => source.stop());
  const { until } = await follow(source);
  await rename(path, `${path}.away`);
  void source.refresh();
  // Time goes on by itself for as long as the test looks.
  const looking = new AbortController();
  t.after(() => looking.abort());
  void (async () => {
    while (!looking.signal.aborted) {
      await clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const away = await until(({ problems }) => problems.length > 0);
  assert.deepEqual(texts(away), { 'a.yaml': '1' });
  assert.match(away.problems[0]?.sentence ?? '', /cannot be read: ENOENT.*goes on serving/);
  await rename(`${path}.away`, path);
  await writeFile(join(path, 'a.yaml'), '2');
  const back = await until(({ problems }) => problems.length === 0);
  assert.deepEqual(texts(back), { 'a.yaml': '2' });
});

test('a folder that is not there at the start is told at once', async (t) => {
  const { seen, source } = await started(t, '/nowhere/at/all');
  assert.deepEqual(rules(seen[0] as SourceSnapshot), [' source-unreachable']);
  assert.equal(source.name, 'folder:/nowhere/at/all');
});

test('refresh reads what is there when it is called; unchanged folders are not told again', async (t) => {
  const path = await folder(t);
  const { seen, source } = await started(t, path, { watch: false });
  await source.refresh();
  assert.equal(seen.length, 1);
  await writeFile(join(path, 'a.yaml'), '1');
  await Promise.all([source.refresh(), source.refresh()]);
  assert.deepEqual(texts(seen[1] as SourceSnapshot), { 'a.yaml': '1' });
  await source.stop();
  await writeFile(join(path, 'a.yaml'), '2');
  await source.refresh();
  assert.equal(seen.length, 2);
});
