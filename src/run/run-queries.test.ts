import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import type { OpenDatabase } from '../database/open.ts';
import {
  findApproval,
  findDecision,
  findPage,
  findRun,
  listApprovals,
  listDecisions,
  listPages,
  listRuns,
  readJournal,
} from './run-queries.ts';

let database: OpenDatabase;
const at = new Date(Date.UTC(2026, 0, 5, 12));

before(async () => {
  database = await openTestDatabase();
  const { db } = database;
  for (const [id, organization] of [
    ['r1', 'acme'],
    ['r2', 'globex'],
    ['r3', 'acme'],
    ['r4', null],
  ] as const) {
    await db
      .insertInto('run')
      .values({
        id,
        organization,
        runbook: 'openbao-sealed',
        document: '{}',
        trigger: '{"kind":"alert"}',
        dedupe_key: id,
        alert_id: `a-${id}`,
        mode: 'Approval',
        inputs: '{"count":2}',
        requested_by: 'engine',
        state: id === 'r1' ? 'Ended' : 'AwaitingApproval',
        outcome: id === 'r1' ? 'Succeeded' : null,
        sentence: 'It waits.',
        created_at: at,
      })
      .execute();
    await db
      .insertInto('alert')
      .values({
        id: `a-${id}`,
        organization,
        source: 'am',
        fingerprint: id,
        name: 'X',
        labels: '{}',
        annotations: '{}',
        generator_url: '',
        external_url: '',
        starts_at: at,
        earliest_start: at,
        state: 'Firing',
        first_seen: at,
        last_seen: at,
        deliveries: 1,
      })
      .execute();
    await db
      .insertInto('decision')
      .values({
        at,
        alert_id: `a-${id}`,
        outcome: 'RunStarted',
        reason: 'Matched',
        sentence: 'S.',
        run_id: id,
        considered: '[1]',
      })
      .execute();
    await db
      .insertInto('approval')
      .values({
        id: `p-${id}`,
        run_id: id,
        step: 0,
        role: 'sovereign-admin',
        plan: '[]',
        plan_digest: 'x',
        requested_at: at,
        expires_at: at,
        state: 'Pending',
      })
      .execute();
    await db
      .insertInto('page')
      .values({
        id: `g-${id}`,
        dedupe_key: id,
        receiver: 'oncall',
        organization,
        run_id: id,
        severity: 'P1',
        subject: 'S',
        body: 'B',
        state: 'Pending',
        created_at: at,
      })
      .execute();
  }
  await db
    .insertInto('run_entry')
    .values([1, 2, 3].map((seq) => ({ run_id: 'r1', seq, at, kind: 'StepStarted', data: `{"step":${seq}}` })))
    .execute();
});
after(() => database.close());

test('runs are listed newest first, page by page, and filtered', async () => {
  const first = await listRuns(database.db, { limit: 3 });
  assert.deepEqual([first.items.map((run) => run.id), first.next], [['r4', 'r3', 'r2'], 'r2']);
  const second = await listRuns(database.db, { limit: 3, after: 'r2' });
  assert.deepEqual([second.items.map((run) => run.id), second.next], [['r1'], undefined]);
  assert.deepEqual(
    (await listRuns(database.db, { limit: 9 }, { state: 'Ended' })).items.map((run) => run.id),
    ['r1'],
  );
  assert.deepEqual((await listRuns(database.db, { limit: 9 }, { outcome: 'Failed' })).items, []);
  assert.deepEqual(second.items[0]?.inputs, { count: 2 });
});

test('an Organization sees its own runs, decisions, approvals and pages', async () => {
  const { db } = database;
  const request = { limit: 9, organization: 'acme' };
  assert.deepEqual(
    (await listRuns(db, request)).items.map((run) => run.id),
    ['r3', 'r1'],
  );
  assert.deepEqual(
    (await listDecisions(db, request)).items.map((decision) => decision.runId),
    ['r3', 'r1'],
  );
  assert.deepEqual(
    (await listApprovals(db, request)).items.map((approval) => approval.runId),
    ['r3', 'r1'],
  );
  assert.deepEqual(
    (await listPages(db, request)).items.map((page) => page.runId),
    ['r3', 'r1'],
  );
  const [foreign] = (await listDecisions(db, { limit: 1 }, { runId: 'r2' })).items;
  assert.deepEqual(
    [
      await findRun(db, 'r2', 'acme'),
      await findDecision(db, foreign?.id ?? '', 'acme'),
      await findApproval(db, 'p-r2', 'acme'),
      await findPage(db, 'g-r2', 'acme'),
    ],
    [undefined, undefined, undefined, undefined],
  );
  assert.equal((await findDecision(db, foreign?.id ?? ''))?.runId, 'r2');
  assert.equal((await findApproval(db, 'p-r2', 'globex'))?.runbook, 'openbao-sealed');
});

test('an id that cannot be one finds nothing', async () => {
  for (const id of ['', 'x', '1e3', '-1', '99999999999999999999'])
    assert.equal(await findDecision(database.db, id), undefined);
});

test('the journal is read in order and resumed', async () => {
  assert.deepEqual(
    (await readJournal(database.db, 'r1')).map((entry) => entry.seq),
    [1, 2, 3],
  );
  assert.deepEqual(
    (await readJournal(database.db, 'r1', 2)).map((entry) => entry.data),
    [{ step: 3 }],
  );
});
