import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IncidentType } from '../catalog/kinds/incident-type.ts';
import { incidentTypeModel } from './incident-type-model.ts';

const type = (name: string, organization?: string): IncidentType => ({
  apiVersion: 'catalyst.openova.io/v1alpha1',
  kind: 'IncidentType',
  metadata: { name },
  spec: {
    title: name,
    severity: 'P2',
    recognisedBy: [{ alertName: 'VcDown', matchers: ['namespace="a"'] }, { alertName: 'VcGone' }],
    guidance: 'Look at the pod.\n',
  },
  provenance: { source: 'test', file: 'test.yaml', line: 1, digest: 'd', ...(organization ? { organization } : {}) },
});

const model = incidentTypeModel({
  incidentTypes: () => [type('b'), type('a'), type('a', 'acme'), type('c', 'globex')],
});
const names = async (organization?: string, after?: string, limit = 100) => {
  const { items, next } = await model.list({ limit, after, organization }, {});
  return [items.map((item) => `${item.name}/${item.organization ?? ''}`), next] as const;
};

test('an Organization sees its own types before those of the Sovereign, and nobody else’s', async () => {
  assert.deepEqual(await names('acme'), [['a/acme', 'b/'], undefined]);
  assert.deepEqual(await names(), [['a/', 'a/acme', 'b/', 'c/globex'], undefined]);
  assert.equal((await model.find('a', 'acme'))?.organization, 'acme');
  assert.equal((await model.find('a', undefined))?.organization, undefined);
  assert.equal(await model.find('c', 'acme'), undefined);
  assert.equal((await model.find('c', undefined))?.organization, 'globex');
});

test('pages follow each other', async () => {
  const [first, next] = await names(undefined, undefined, 3);
  assert.deepEqual(
    [first, await names(undefined, next)],
    [
      ['a/', 'a/acme', 'b/'],
      [['c/globex'], undefined],
    ],
  );
});

test('how it is recognised is said in words, and what to look at as it was written', async () => {
  const found = await model.find('b', undefined);
  assert.deepEqual(found?.recognisedBy, ['alert VcDown with namespace="a"', 'alert VcGone']);
  assert.equal(found?.guidance, 'Look at the pod.');
});
