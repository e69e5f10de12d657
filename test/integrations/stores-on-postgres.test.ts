/** The tests of what is kept in the database, once more on a real PostgreSQL: they run on the embedded one elsewhere. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findPostgres } from '../../testbed/postgres.ts';
import { describeReal, sharedPostgres } from '../../testbed/real.ts';
import { makeRoom } from '../room.ts';

const root = join(import.meta.dirname, '../..');
/** Every test that asks `openTestDatabase` for its database. */
const files = globSync('src/**/*.test.ts', { cwd: root })
  .filter((file) => readFileSync(join(root, file), 'utf8').includes('openTestDatabase()'))
  .sort();

describeReal('stores and engine on PostgreSQL', findPostgres, () => {
  test('are the ones that matter', () => {
    const rooms = new Set(files.map((file) => file.split('/')[1]));
    for (const room of ['alert', 'api', 'audit', 'incident', 'notify', 'run']) assert.ok(rooms.has(room), room);
  });

  test(`pass: ${files.join(', ')}`, async () => {
    const { url } = await sharedPostgres();
    // The runner tells its children by this variable that they are part of it; this one is a run of its own.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const child = spawn(process.execPath, ['--test', '--test-reporter=dot', makeRoom('stores-on-postgres', files)], {
      cwd: root,
      env: { ...environment, CATALYST_TEST_POSTGRES: url },
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(code, 0, said);
  });
});
