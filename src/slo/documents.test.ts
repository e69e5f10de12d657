import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadDocuments } from '../catalog/document.ts';
import { refuseSlos } from './documents.ts';

const folder = join(import.meta.dirname, '../../handbook/slos');
const load = (file: string, change = (text: string) => text) =>
  refuseSlos(loadDocuments(change(readFileSync(join(folder, file), 'utf8')), { source: 'test', file }));

test('an objective that cannot be worked out is refused with its place; one that needs an exporter is not', () => {
  for (const file of readdirSync(folder)) assert.deepEqual(load(file).problems, [], file);
  const { resources, problems } = load('console-availability.yaml', (text) => text.replace('99.9%', '0%'));
  assert.deepEqual(resources, []);
  assert.deepEqual(
    problems.map(({ severity, rule, line, resource }) => ({ severity, rule, line, resource })),
    [
      {
        severity: 'error',
        rule: 'objective-zero',
        line: 11,
        resource: 'ServiceLevelObjective/console-availability',
      },
    ],
  );
});
