import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseListen, writeCliFile } from './listen.ts';

test('addresses to listen on are read, or refused with an example', () => {
  assert.deepEqual(parseListen('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(parseListen('[::1]:0'), { host: '::1', port: 0 });
  for (const text of ['8080', ':80', 'a:b', 'a:99999', 'http://a:1', '::1:80'])
    assert.throws(() => parseListen(text), /not an address to listen on/, text);
});

test('the file for the command line is for its owner only', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'listen-'));
  const path = await writeCliFile(join(folder, 'data'), { server: 'http://127.0.0.1:1', token: 'first' });
  await writeCliFile(join(folder, 'data'), { server: 'http://127.0.0.1:1', token: 'second' });
  assert.equal(JSON.parse(await readFile(path, 'utf8')).token, 'second');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await rm(folder, { recursive: true });
});
