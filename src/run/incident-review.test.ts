/** The draft of a review: its text against a file, and out of a database. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { openTestDatabase } from '../../test/open-test-database.ts';
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord, readRecord } from '../audit/record-store.ts';
import { getIncident } from '../incident/incident-store.ts';
import { insertAlert, insertIncident, insertRun, minutesAfterNoon, noon } from './history-fixture.ts';
import { reviewOfIncident } from './incident-review.ts';
import type { Entry } from './journal.ts';
import { markdownText } from './markdown.ts';

const minute = 60_000;
const golden = new URL('../../test/fixtures/incidents/review.md', import.meta.url);
const hostile =
  '[click](javascript:alert(1)) <img src=x onerror=alert(1)>\n# Heading | `rm` https://evil.example @everyone';

async function seeded() {
  const database = await openTestDatabase();
  const { db } = database;
  await insertIncident(db, 'i1', {
    organization: 'acme',
    title: `OpenBao sealed: ${hostile}`,
    state: 'Resolved',
    acknowledged_at: minutesAfterNoon(20),
    acknowledged_by: 'user/alice',
    resolved_at: minutesAfterNoon(30),
    resolved_by: 'engine',
    resolved_how: 'Verified',
    resolution: 'openbao.status.sealed == false has held for 1m.',
    escalated_at: minutesAfterNoon(15),
  });
  await insertIncident(db, 'i0', {
    organization: 'acme',
    title: 'Gitea unreachable',
    state: 'Resolved',
    resolved_how: 'Merged',
    merged_into: 'i1',
  });
  await insertAlert(db, 'a1', { incident_id: 'i1', starts_at: minutesAfterNoon(-2) });
  await insertAlert(db, 'a2', {
    incident_id: 'i1',
    name: hostile,
    labels: JSON.stringify({ alertname: hostile, note: hostile }),
    last_seen: minutesAfterNoon(-1),
  });
  await insertRun(db, 'r1', {
    incident_id: 'i1',
    organization: 'acme',
    document: JSON.stringify({ provenance: { revision: '0123456789abcdef' } }),
  });
  const reading = { fact: 'openbao.status.sealed', value: false, at: noon, took: 1 };
  const journal: Entry[] = [
    {
      at: noon + minute,
      kind: 'Prepared',
      sentence: 'Prepared.',
      data: {
        mode: 'Automatic',
        confirmation: 'Prometheus lists the alert as firing.',
        target: null,
        guards: [],
        preconditions: [{ source: 'spire.server.healthy', value: true, readings: [] }],
        plan: [],
      },
    },
    {
      at: noon + 2 * minute,
      kind: 'StepStarted',
      sentence: 'Unseals.',
      data: {
        phase: 'steps',
        index: 0,
        attempt: 1,
        key: 'k',
        action: 'openbao operator unseal',
        effect: 'Change',
        input: { autoShamir: true, note: hostile },
        before: null,
        readings: [],
      },
    },
    {
      at: noon + 3 * minute,
      kind: 'StepSucceeded',
      sentence: 'Gave 3 shares to openbao-0.',
      data: { phase: 'steps', index: 0, result: null, target: null, readings: [] },
    },
    {
      at: noon + 4 * minute,
      kind: 'StepSucceeded',
      sentence: 'openbao.status.sealed == false has held for 1m.',
      data: { phase: 'steps', index: 1, result: null, target: null, readings: [reading] },
    },
    {
      at: noon + 4 * minute,
      kind: 'Ended',
      sentence: 'It is verified.',
      data: { outcome: 'Succeeded', reason: 'Verified', evidence: [] },
    },
  ];
  for (const [index, { at, kind, sentence, data }] of journal.entries())
    await db
      .insertInto('run_entry')
      .values({ run_id: 'r1', seq: index + 1, at: new Date(at), kind, data: JSON.stringify({ sentence, ...data }) })
      .execute();
  const entry = (minutes: number, kind: RecordEntry['kind'], actor: string, sentence: string, incidentId = 'i1') => ({
    at: noon + minutes * minute,
    kind,
    actor,
    organization: 'acme',
    incidentId,
    sentence,
    data: {},
  });
  await db
    .transaction()
    .execute((tx) =>
      appendRecord(tx, [
        entry(0, 'incident.opened', 'engine', 'P1 OpenBao sealed: opened.'),
        entry(1, 'incident.opened', 'engine', 'P1 Gitea unreachable: opened.', 'i0'),
        entry(2, 'incident.noted', 'user/bob', `user/bob noted: ${hostile}`),
        entry(15, 'incident.escalated', 'engine', 'Nobody acknowledged this P1 by 12:15; default is told.'),
        entry(20, 'incident.acknowledged', 'user/alice', 'user/alice acknowledged it.'),
        entry(30, 'incident.resolved', 'engine', 'Run r1 verified its fix.'),
      ]),
    );
  return database;
}

test('the draft is the one in the file, from summary to action items, with hostile text as text', async () => {
  const database = await seeded();
  try {
    const review = await reviewOfIncident(database.db, 'i1', 'acme');
    assert.equal(review, readFileSync(golden, 'utf8'));
    assert.equal(await reviewOfIncident(database.db, 'i1', 'globex'), undefined);
    assert.equal(await reviewOfIncident(database.db, 'none', undefined), undefined);
    assert.ok(await getIncident(database.db, 'i1'));
    assert.equal((await readRecord(database.db, { limit: 10 })).length, 6, 'asking writes nothing');
  } finally {
    await database.close();
  }
});

test('an incident nobody has answered and no runbook knows is reviewed, too', async () => {
  const database = await openTestDatabase();
  try {
    await insertIncident(database.db, 'i1');
    const review = (await reviewOfIncident(database.db, 'i1', undefined)) ?? '';
    for (const said of ['Nobody has acknowledged it', 'No runbook ran', 'It goes on.', 'Nobody acted on it', '- [ ] '])
      assert.ok(review.includes(said), said);
  } finally {
    await database.close();
  }
});

test('no text becomes markup: of what is left unescaped nothing has a meaning in Markdown', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (given) => {
      const escaped = markdownText(given);
      assert.doesNotMatch(escaped, /[\n\r]/);
      const bare = escaped.replaceAll(/\\./g, 'x');
      assert.doesNotMatch(bare, /[`*_[\]<>#|~&@!()$]|:\/\/|^[-+=]|^\d+[.)]/);
    }),
  );
  assert.equal(markdownText('see https://a.example or www.b.example'), 'see https:\\/\\/a.example or www\\.b.example');
  assert.equal(markdownText('1. first'), '1\\. first');
  assert.equal(markdownText({ a: [1] }), '{"a":\\[1\\]}');
});
