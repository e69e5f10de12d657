import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { systemClock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { readModels } from './read-models.ts';

const runbook = (name: string, organization?: string) =>
  ({
    resource: { metadata: { name }, spec: {}, provenance: { organization, file: 'f', line: 1 } },
    triggers: [],
  }) as unknown as CompiledRunbook;

test('who looks at the whole Sovereign pages through the runbooks of all, those of one name among them', async () => {
  const all = [runbook('a'), runbook('b', 'acme'), runbook('b', 'globex'), runbook('c')];
  const catalog = {
    all: () => all,
    runbooks: () => [runbook('a')],
    find: () => undefined,
    incidentTypes: () => [],
    problems: () => [],
  };
  const { runbooks } = readModels({ db: undefined as unknown as Database, clock: systemClock, catalog });
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const page = await runbooks.list({ limit: 1, organization: undefined, after }, {});
    seen.push(...page.items.map(({ name, organization }) => `${name} ${organization ?? '-'}`));
    after = page.next;
  } while (after !== undefined);
  assert.deepEqual(seen, ['a -', 'b acme', 'b globex', 'c -']);
  assert.equal((await runbooks.list({ limit: 9, organization: 'acme', after: undefined }, {})).items.length, 1);
  assert.equal((await runbooks.find('b', undefined))?.organization, 'acme');
  assert.equal(await runbooks.find('b', 'acme'), undefined);
});
