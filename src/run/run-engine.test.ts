import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import {
  checkThat,
  type PocketWorld,
  pocketWorld,
  runbookOf,
  setLight,
  verifyThat,
} from '../../test/support/pocket-world.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { systemClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { CatalystError } from '../errors.ts';
import { newId } from '../ids.ts';
import type { Entry } from './journal.ts';
import { createEngine, type Engine, type EnginePorts } from './run-engine.ts';
import { createRunService } from './run-service.ts';
import { claimDueRuns, insertRuns, type NewRun, readEntries } from './run-store.ts';

let database: OpenDatabase;
const engines: Engine[] = [];
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});

const errors: unknown[] = [];

function engineOf(world: PocketWorld, runbook: CompiledRunbook, more: Partial<EnginePorts> = {}) {
  const waiting: { runId: string; until: (entry: Entry) => boolean; resolve: (entry: Entry) => void }[] = [];
  const engine = createEngine(
    {
      db: database.db,
      clock: systemClock,
      world,
      name: newId(Date.now()),
      newId: () => newId(Date.now()),
      compile: () => runbook,
      contexts: async (runs) => runs.map(() => ({ alert: undefined, incident: undefined })),
      onEntries: async (_tx, entries) =>
        entries.map(({ run, entry }) => ({
          at: entry.at,
          kind: 'run.entry',
          actor: 'engine',
          runId: run.id,
          sentence: entry.sentence,
          data: { kind: entry.kind },
        })),
      observe: (run, entry) => {
        for (const wait of waiting) if (wait.runId === run.id && wait.until(entry)) wait.resolve(entry);
      },
      onError: (_id, error) => errors.push(error),
      confirmFiring: 'Required',
      alone: false,
      ...more,
    },
    { concurrency: 64, pollEvery: 20, claimFor: 3_000 },
  );
  engines.push(engine);
  const reaches = (runId: string, until: (entry: Entry) => boolean) =>
    new Promise<Entry>((resolve) => waiting.push({ runId, until, resolve }));
  return { engine, reaches, ended: (runId: string) => reaches(runId, (entry) => entry.kind === 'Ended') };
}

function runOf(more: Partial<NewRun> = {}): NewRun {
  const id = newId(Date.now());
  return {
    id,
    runbook: 'switch-light',
    organization: undefined,
    document: { metadata: { name: 'switch-light' } },
    trigger: { kind: 'manual', by: 'user/test', reason: '' },
    dedupeKey: id,
    alertId: undefined,
    incidentId: undefined,
    mode: 'Automatic',
    inputs: {},
    requestedBy: 'user/test',
    sentence: 'started',
    createdAt: Date.now(),
    traceparent: undefined,
    ...more,
  };
}

/** Switches the light on, as often as it is asked. */
function freely(world: PocketWorld): CompiledRunbook {
  const guards = { ...runbookOf([]).guards, cooldown: 0, maxRuns: { count: 1000, per: 1 } };
  return runbookOf([setLight(world, 1)], { target: undefined, guards });
}

const insert = (...runs: NewRun[]) => database.db.transaction().execute((tx) => insertRuns(tx, runs));
const rowOf = (id: string) => database.db.selectFrom('run').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

test('a run goes from its row to its end, and its row says how it went', async () => {
  const world = pocketWorld();
  const lit = checkThat('light == 1', () => world.light === 1);
  const { engine, ended } = engineOf(world, runbookOf([setLight(world, 1), verifyThat(lit, { for: 30, every: 10 })]));
  const run = runOf();
  const end = ended(run.id);
  await insert(run);
  await engine.start();
  await end;

  const row = await rowOf(run.id);
  assert.deepEqual(
    [row.state, row.outcome, row.reason, row.lock_key, row.wake_at, row.target_key],
    ['Ended', 'Succeeded', 'Verified', null, null, 'Light//lamp'],
  );
  assert.equal((await readEntries(database.db, run.id)).length, row.entries);
  assert.deepEqual(world.effects, ['light=1']);
});

test('the same dedupe key never makes a second run', async () => {
  const run = runOf({ dedupeKey: 'alert/1/switch-light' });
  assert.equal((await insert(run, runOf({ dedupeKey: 'alert/2/switch-light' }))).size, 2);
  assert.equal((await insert(runOf({ dedupeKey: 'alert/1/switch-light' }))).size, 0);
  await database.db.deleteFrom('run').where('dedupe_key', 'like', 'alert/%').execute();
});

test('two engines share the database, and each run is carried out once', async () => {
  const world = pocketWorld();
  const runbook = freely(world);
  const first = engineOf(world, runbook);
  const second = engineOf(world, runbook);
  const runs = Array.from({ length: 20 }, () => runOf());
  const ends = runs.map((run) => Promise.race([first.ended(run.id), second.ended(run.id)]));
  await insert(...runs);
  await Promise.all([first.engine.start(), second.engine.start()]);
  await Promise.all(ends);
  assert.equal(world.effects.length, 20);
  assert.equal(world.keys.size, 20);
});

test('a run whose process died in the middle of an effect is taken over, asked, and not repeated', async () => {
  const world = pocketWorld();
  const runbook = freely(world);
  // The journal cannot be written after the effect, and the process is gone: nothing is released.
  const dying = engineOf(world, runbook, {
    onEntries: async (_tx, entries) => {
      if (entries.some(({ entry }) => entry.kind === 'StepSucceeded')) throw new Error('killed');
      return [];
    },
  });
  const run = runOf();
  await insert(run);
  await dying.engine.start();
  await waitUntil(async () => world.effects.length > 0);
  await dying.engine.stop();
  assert.equal((await readEntries(database.db, run.id)).at(-1)?.kind, 'StepStarted');

  const heir = engineOf(world, runbook);
  await database.db.updateTable('run').set({ wake_at: new Date() }).where('id', '=', run.id).execute();
  const end = heir.ended(run.id);
  await heir.engine.start();
  await end;
  assert.deepEqual(world.effects, ['light=1']);
  assert.equal((await rowOf(run.id)).outcome, 'Succeeded');
});

test('nobody claims a run that another process holds, until its claim ends', async () => {
  const run = runOf();
  await insert(run);
  const claim = (engine: string, claimFor: number) => claimDueRuns(database.db, { engine, claimFor }, Date.now(), 10);
  assert.equal((await claim('one', 100)).length, 1);
  assert.equal((await claim('two', 100)).length, 0);
  let taken: Awaited<ReturnType<typeof claim>> = [];
  await waitUntil(async () => {
    taken = await claim('two', 60_000);
    return taken.length === 1;
  });
  assert.equal(taken[0]?.epoch, 2);
  await database.db.deleteFrom('run').where('id', '=', run.id).execute();
});

test('an approval goes to another person with the role, for the plan that was shown', async () => {
  const world = pocketWorld();
  const runbook = freely(world);
  const { engine, reaches, ended } = engineOf(world, runbook);
  const service = createRunService({
    db: database.db,
    clock: systemClock,
    newId: () => newId(Date.now()),
    catalog: { find: () => runbook },
    wake: () => engine.wake(),
  });
  const run = runOf({ mode: 'Approval', requestedBy: 'user/ada' });
  const asked = reaches(run.id, (entry) => entry.kind === 'ApprovalRequested');
  const end = ended(run.id);
  await insert(run);
  await engine.start();
  const request = await asked;
  const planDigest = request.kind === 'ApprovalRequested' ? request.data.planDigest : '';

  const decide = (name: string, role: string, more = {}) =>
    service.decide({ name, role, organization: undefined }, run.id, { approve: true, comment: '', ...more });
  const refusal = (code: string) => (error: unknown) => error instanceof CatalystError && error.code === code;
  await assert.rejects(decide('user/ada', 'sovereign-admin'), refusal('Forbidden'));
  await assert.rejects(decide('user/bob', 'org-viewer'), refusal('Forbidden'));
  await assert.rejects(decide('user/bob', 'sovereign-admin', { planDigest: 'another' }), refusal('Conflict'));
  await assert.rejects(
    service.decide({ name: 'user/eve', role: 'sovereign-admin', organization: 'acme' }, run.id, {
      approve: true,
      comment: '',
    }),
    refusal('NotFound'),
  );
  assert.deepEqual(world.effects, []);

  await decide('user/bob', 'sovereign-admin', { planDigest });
  await end;
  assert.deepEqual(world.effects, ['light=1']);
  await assert.rejects(decide('user/bob', 'sovereign-admin'), refusal('InvalidState'));
});

test('an approval that nobody gives expires: nothing is done, the row says so, and it is too late to give it', async () => {
  const world = pocketWorld();
  const approve = { kind: 'approve', name: 'ask', line: 1, role: 'sovereign-admin', within: 100, reason: '' } as const;
  const runbook = { ...freely(world), steps: [approve, setLight(world, 1)] };
  const { engine, ended } = engineOf(world, runbook);
  const run = runOf({ requestedBy: 'user/ada' });
  const end = ended(run.id);
  await insert(run);
  await engine.start();
  await end;
  assert.deepEqual(world.effects, []);
  assert.deepEqual([(await rowOf(run.id)).outcome, (await rowOf(run.id)).reason], ['Failed', 'ApprovalExpired']);
  const approval = await database.db
    .selectFrom('approval')
    .selectAll()
    .where('run_id', '=', run.id)
    .executeTakeFirstOrThrow();
  assert.deepEqual([approval.state, approval.decided_by], ['Expired', 'engine']);
  const service = createRunService({
    db: database.db,
    clock: systemClock,
    newId: () => newId(Date.now()),
    catalog: { find: () => runbook },
    wake: () => engine.wake(),
  });
  await assert.rejects(
    service.decide({ name: 'user/bob', role: 'sovereign-admin', organization: undefined }, run.id, {
      approve: true,
      comment: '',
    }),
    { code: 'InvalidState' },
  );
});

test('a world that does not answer delays a run and does not end it', async () => {
  const world = pocketWorld();
  const runbook = freely(world);
  let away = true;
  const { engine, ended } = engineOf(world, runbook, {
    contexts: async (runs) => {
      if (away) throw new CatalystError('Unavailable', 'The database does not answer.');
      return runs.map(() => ({ alert: undefined, incident: undefined }));
    },
  });
  const run = runOf();
  const end = ended(run.id);
  await insert(run);
  await engine.start();
  await waitUntil(async () => /It waits: The database does not answer/.test((await rowOf(run.id)).sentence));
  away = false;
  await end;
  assert.equal((await rowOf(run.id)).outcome, 'Succeeded');
});

/** Looks again and again, for ten seconds at most. */
async function waitUntil(holds: () => Promise<boolean>) {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > deadline) assert.fail('it did not come to pass in ten seconds');
    await systemClock.sleep(10);
  }
}
