/** The console's copy of the handbook's rows, laid beside the documents that come with the product. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadAll } from 'js-yaml';
import { incidentRows, remediation } from '../../console/src/handbook-rows.ts';

const handbook = join(import.meta.dirname, '../../handbook');
// biome-ignore lint/suspicious/noExplicitAny: documents of several kinds, asserted on field by field.
const documents = (folder: string): any[] =>
  globSync(`${folder}/*.yaml`, { cwd: handbook }).flatMap((file) =>
    loadAll(readFileSync(join(handbook, file), 'utf8')),
  );

test('every row of §4.2 has a runbook that its alert starts', () => {
  const rows = Object.values(remediation).flat();
  assert.equal(rows.length, 21);
  const triggers = documents('runbooks').flatMap(({ spec }) => spec.triggers);
  for (const { alert } of rows)
    assert.ok(
      triggers.some(({ alertName }) => alertName === alert),
      alert,
    );
});

test('every row of §13.2 and §13.3 has a type of its severity', () => {
  const rows = Object.values(incidentRows).flat();
  assert.equal(rows.length, 14);
  const types = new Map(documents('incident-types').map(({ metadata, spec }) => [metadata.name, spec.severity]));
  for (const { type, severity } of rows) assert.equal(types.get(type), severity, type);
});
