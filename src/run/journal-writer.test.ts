/** Entries of many runs in one commit: together where they can be, and each right by itself. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { pocketWorld, runbookOf, setLight } from '../../test/support/pocket-world.ts';
import { systemClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { newId } from '../ids.ts';
import { apply, type Entry, fold } from './journal.ts';
import { ClaimLost, createJournalWriter, type JournalWriterPorts, type NextEntry, StaleRun } from './journal-writer.ts';
import type { RunInHand } from './run-in-hand.ts';
import { type ClaimedRun, claimDueRuns, insertRuns, readEntries, takeLock } from './run-store.ts';

let database: OpenDatabase;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());

/** @param refuse entries that cannot be committed */
function writer(refuse: (next: NextEntry) => boolean = () => false) {
  const observed: string[] = [];
  /** What the rows looked like when a key was passed on. */
  const passedOn: Promise<unknown>[] = [];
  const ports: JournalWriterPorts = {
    db: database.db,
    clock: systemClock,
    contexts: async (runs) => runs.map(() => ({ alert: undefined, incident: undefined })),
    onEntries: async (_tx, entries) => {
      const refused = entries.find(refuse);
      if (refused) throw new Error(`${refused.entry.sentence} is refused`);
      return [];
    },
    observe: (_run, { sentence }) => observed.push(sentence),
  };
  const journal = createJournalWriter(ports, () => {
    passedOn.push(database.db.selectFrom('run').select('id').where('wake_at', '=', new Date(0)).execute());
  });
  /** As the executor does it: handed over, and known to the run from then on. */
  const append = (claimed: Claimed, sentence: string): Promise<void> =>
    add(claimed, { at: Date.now(), kind: 'Held', sentence, data: { reason: 'Busy' } });
  const end = (claimed: Claimed): Promise<void> =>
    add(claimed, {
      at: Date.now(),
      kind: 'Ended',
      sentence: 'It is over.',
      data: { outcome: 'Failed', reason: 'Busy', evidence: [] },
    });
  const add = ({ run, row }: Claimed, entry: Entry): Promise<void> => {
    const committed = journal.append(run, row, entry, undefined);
    apply(run.state, entry);
    return committed;
  };
  return { append, end, observed, passedOn };
}

interface Claimed {
  run: RunInHand;
  row: ClaimedRun;
}

async function claimed(count: number): Promise<Claimed[]> {
  const runs = Array.from({ length: count }, () => {
    const id = newId(Date.now());
    return {
      id,
      runbook: 'light',
      organization: undefined,
      document: {},
      trigger: { kind: 'manual', by: 'user/test', reason: '' } as const,
      dedupeKey: id,
      alertId: undefined,
      incidentId: undefined,
      mode: 'Automatic' as const,
      inputs: {},
      requestedBy: 'user/test',
      sentence: '',
      createdAt: Date.now(),
      traceparent: undefined,
    };
  });
  await database.db.transaction().execute((tx) => insertRuns(tx, runs));
  const rows = await claimDueRuns(database.db, { engine: newId(0), claimFor: 60_000 }, Date.now() + 1_000, count);
  assert.equal(rows.length, count);
  const runbook = runbookOf([setLight(pocketWorld(), 1)]);
  return rows.map((row) => ({
    row,
    run: { ...row, runbook, alert: undefined, incident: undefined, state: fold([]) },
  }));
}

const said = async ({ row }: Claimed) => (await readEntries(database.db, row.id)).map(({ sentence }) => sentence);

/** How many transactions wrote the entries of these runs. */
async function commits(...runs: readonly Claimed[]): Promise<number> {
  const ids = runs.map(({ row }) => row.id);
  const { rows } = await sql<{ count: number }>`
    SELECT count(DISTINCT xmin::text)::int AS count FROM run_entry WHERE run_id = ANY(${ids}::text[])`.execute(
    database.db,
  );
  return rows[0]?.count ?? 0;
}

test('what many runs decide in one breath is one commit, in the order in which each decided', async () => {
  const runs = await claimed(5);
  const { append, observed } = writer();
  await Promise.all(runs.flatMap((run) => ['a', 'b', 'c'].map((sentence) => append(run, sentence))));
  for (const run of runs) assert.deepEqual(await said(run), ['a', 'b', 'c']);
  assert.equal(await commits(...runs), 1);
  assert.equal(observed.length, 15);
  const row = await database.db
    .selectFrom('run')
    .select(['entries', 'sentence'])
    .where('id', '=', runs[0]?.row.id ?? '')
    .executeTakeFirst();
  assert.deepEqual(row, { entries: 3, sentence: 'c' });
});

test('a run that cannot be committed takes no other with it, and none of its own entries stands', async () => {
  const [good, bad, other] = (await claimed(3)) as [Claimed, Claimed, Claimed];
  const { append, observed } = writer(({ entry }) => entry.sentence === 'poison');
  const outcomes = await Promise.allSettled([
    append(good, 'a'),
    append(bad, 'before'),
    append(bad, 'poison'),
    append(other, 'a'),
    append(good, 'b'),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled', 'fulfilled'],
  );
  assert.deepEqual([await said(good), await said(bad), await said(other)], [['a', 'b'], [], ['a']]);
  assert.deepEqual(observed.sort(), ['a', 'a', 'b']);
});

test('after an entry that was not committed none of the same run is, however late it comes', async () => {
  const [run, neighbour] = (await claimed(2)) as [Claimed, Claimed];
  let poisoned = true;
  const { append } = writer(({ entry }) => entry.sentence === 'poison' && poisoned);
  const lost = assert.rejects(append(run, 'poison'), /refused/);
  await append(neighbour, 'meanwhile');
  await lost;
  poisoned = false;
  await assert.rejects(append(run, 'later'), StaleRun);
  assert.deepEqual(await said(run), []);
});

test('whose claim has gone to another process writes nothing', async () => {
  const [run, neighbour] = (await claimed(2)) as [Claimed, Claimed];
  await database.db
    .updateTable('run')
    .set({ claim_epoch: sql<number>`claim_epoch + 1` })
    .where('id', '=', run.row.id)
    .execute();
  const { append } = writer();
  const outcomes = await Promise.allSettled([append(run, 'late'), append(neighbour, 'in time')]);
  assert.ok(outcomes[0]?.status === 'rejected' && outcomes[0].reason instanceof ClaimLost);
  assert.deepEqual([await said(run), await said(neighbour)], [[], ['in time']]);
});

test('a run that ends makes the one due that waits for its concurrency key, and says so after the commit', async () => {
  const [holder, waiting, free] = (await claimed(3)) as [Claimed, Claimed, Claimed];
  assert.equal(await takeLock(database.db, holder.row, 'the-key'), true);
  assert.equal(await takeLock(database.db, waiting.row, 'the-key'), false);
  const { append, end, passedOn } = writer();
  await append(holder, 'it goes on');
  await end(free);
  assert.equal(passedOn.length, 0);
  await end(holder);
  assert.deepEqual(await Promise.all(passedOn), [[{ id: waiting.row.id }]]);
  assert.equal(await takeLock(database.db, waiting.row, 'the-key'), true);
});
