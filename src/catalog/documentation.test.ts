import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { vocabulary } from '../../test/support/vocabulary.ts';
import { createLanguage } from '../check/language.ts';
import { lintTexts } from './lint.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/runbook-language.md'), 'utf8');

describe('docs/runbook-language.md', () => {
  it('shows documents that are sound', () => {
    const blocks = [...page.matchAll(/```yaml\n(apiVersion.*?)```/gs)].map((m) => m[1] ?? '');
    assert.equal(blocks.length, 2);
    const texts = blocks.map((text, i) => ({ origin: { source: 'docs', file: `${i}.yaml` }, text }));
    assert.deepEqual(lintTexts(texts, createLanguage(vocabulary())).problems, []);
  });

  it('names every rule that a fixture breaks', () => {
    const listed = page.slice(page.indexOf('## What lint says'));
    for (const file of readdirSync(join(root, 'test/fixtures/runbooks/bad'))) {
      const rules = file.split('.').slice(0, -1);
      assert.ok(
        rules.some((rule) => listed.includes(`\`${rule}\``)),
        `${file} is not in the list`,
      );
    }
  });
});
