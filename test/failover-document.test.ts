/** `docs/failover.md` says for each thing that may happen which test proves what it says: that test is there. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '..');
const document = readFileSync(join(root, 'docs/failover.md'), 'utf8');
const section = /\n## What happens if …\n(.*?)\n## /s.exec(document)?.[1] ?? '';

/** A path as the section writes it: from the folder of its kind of test, or from the root. */
function find(path: string): string | undefined {
  return ['src/failover', 'test/journeys', ''].map((folder) => join(root, folder, path)).find(existsSync);
}

const legend = new Map(
  [...section.matchAll(/\b([A-Z]) `([^`]+)`/g)].map(([, letter = '', path = '']) => [letter, path] as const),
);
const rows = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| What happens'));

test('the table of failures is read', () => {
  assert.ok(rows.length >= 20, `${rows.length} rows`);
  assert.ok(legend.size >= 9, `${legend.size} letters`);
});

for (const row of rows) {
  const [what = '', , tests = ''] = row.split('|').slice(1, -1);
  test(`proved where it says: ${what.trim()}`, () => {
    let letter = '';
    let named = 0;
    for (const [, changed, name, path] of tests.matchAll(/\b([A-Z]) (?=")|"([^"]+)"|`([^`]+)`/g)) {
      letter = changed ?? letter;
      if (changed !== undefined) continue;
      const file = find(path ?? legend.get(letter) ?? '');
      assert.ok(file, `there is no file ${path ?? `of the letter ${letter}`}`);
      assert.ok(path !== undefined || readFileSync(file, 'utf8').includes(name ?? ''), `${file} has no "${name}"`);
      named += 1;
    }
    assert.ok(named > 0, 'it names no test');
  });
}
