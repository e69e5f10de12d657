import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { roles } from '../src/api/access.ts';
import { errorCodes } from '../src/errors.ts';
import { metricDefinitions } from '../src/telemetry/metrics.ts';
import { referencePages, stalePages } from './generate-reference.ts';

const page = (name: string) => readFile(new URL(`../docs/reference/${name}.md`, import.meta.url), 'utf8');
/** The names in the first column of the tables of a page. */
const documented = (text: string) => [...text.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]);

test('the committed reference is what the sources say', async () => {
  assert.deepEqual(await stalePages(await referencePages()), []);
});

test('a page that differs is found', async () => {
  assert.deepEqual(
    await stalePages(
      new Map([
        ['docs/reference/errors.md', 'other'],
        ['docs/reference/none.md', ''],
      ]),
    ),
    ['docs/reference/errors.md', 'docs/reference/none.md'],
  );
});

test('every metric, error code and role is documented, and nothing that is not there', async () => {
  assert.deepEqual(
    documented(await page('metrics')).sort(),
    Object.values(metricDefinitions)
      .map((m) => m.name)
      .sort(),
  );
  assert.deepEqual(documented(await page('errors')).sort(), Object.keys(errorCodes).sort());
  assert.deepEqual(documented(await page('access')).sort(), [...roles].sort());
});

test('every field of the configuration is described', async () => {
  const rows = (await page('configuration')).split('\n').filter((line) => line.startsWith('| `'));
  assert.ok(rows.length > 60);
  for (const row of rows) assert.match(row, /\| [^|]{5,} \|$/, row);
});

test('every command is in the command line reference', async () => {
  const text = await page('cli');
  for (const command of [
    'serve',
    'get',
    'describe',
    'incident ack',
    'run approve',
    'runbook lint',
    'drill',
    'audit verify',
    'render',
    'config check',
    'completion',
    'version',
  ])
    assert.ok(text.includes(`## \`catalyst-sre ${command}\``), command);
});
