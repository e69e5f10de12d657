/** What has to hold after a chaos run, read from the database the product left behind and from what the world counted. */
import { verifyChain } from '../../../src/audit/record-store.ts';
import type { Database } from '../../../src/database/tables.ts';
import type { Entry } from '../../../src/run/journal.ts';
import { readEntries } from '../../../src/run/run-store.ts';
import type { Sender } from './sender.ts';
import type { World } from './world.ts';

export interface Verdict {
  /** Sentences; none: every promise was kept. */
  problems: string[];
  counts: {
    alertsAcknowledged: number;
    runs: number;
    /** By outcome, and `AwaitingApproval`. */
    outcomes: Record<string, number>;
    effects: number;
    /** Steps whose outcome had to be asked for, and what was answered. */
    asked: Record<string, number>;
    pages: number;
    recordEntries: number;
  };
}

export async function judge(db: Database, sender: Sender, world: World): Promise<Verdict> {
  const problems: string[] = [];
  const outcomes: Record<string, number> = {};
  const asked: Record<string, number> = {};
  const intended = new Set<string>();

  for (const answer of sender.lost)
    problems.push(`A delivery was answered ${answer}: Alertmanager would never repeat it.`);
  await judgeDeliveries(db, sender, problems);

  const runs = await db.selectFrom('run').selectAll().execute();
  const paged = new Set((await db.selectFrom('page').select('run_id').execute()).map((row) => row.run_id));
  for (const run of runs) {
    const entries = await readEntries(db, run.id);
    const say = (sentence: string) =>
      problems.push(`Run ${run.id} (${run.runbook}, ${run.outcome ?? run.state}): ${sentence}`);
    const outcome = run.outcome ?? run.state;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (entries.length !== run.entries)
      say(`its row counts ${run.entries} entries, its journal has ${entries.length}.`);
    if (run.state === 'AwaitingApproval' ? run.wake_at === null : run.state !== 'Ended')
      say(`it is stuck: ${run.sentence}`);
    if (run.state === 'Ended' && run.lock_key !== null) say('it has ended and holds its key.');
    if (run.outcome === 'Unknown' && !paged.has(run.id)) say('nobody was paged.');
    judgeSteps(run, entries, world, { intended, asked, say });
  }
  for (const [key, count] of world.effects) {
    if (count > 1) problems.push(`The effect ${key} took place ${count} times.`);
  }
  for (const key of [...world.effects.keys(), ...world.repeatable.keys()]) {
    if (!intended.has(key)) problems.push(`The effect ${key} took place, and no journal intended it.`);
  }
  const pages = await db.selectFrom('page').select(['id', 'state']).execute();
  for (const { id, state } of pages) {
    if (state === 'Delivered' && !world.pages.has(id))
      problems.push(`The page ${id} counts as delivered, and never arrived.`);
    if (state === 'Failed') problems.push(`The page ${id} was given up.`);
  }
  const chain = await verifyChain(db);
  if (!chain.intact) problems.push(`The record is broken at ${chain.brokenAt}: ${chain.sentence}`);
  return {
    problems,
    counts: {
      alertsAcknowledged: sender.acknowledged.size,
      runs: runs.length,
      outcomes,
      effects: world.effects.size,
      asked,
      pages: pages.length,
      recordEntries: chain.entries,
    },
  };
}

/** Every alert that was acknowledged has been decided about, and has started exactly one run. */
async function judgeDeliveries(db: Database, sender: Sender, problems: string[]): Promise<void> {
  const unread = await db.selectFrom('delivery').select('id').where('state', '<>', 'Processed').execute();
  if (unread.length > 0) problems.push(`${unread.length} deliveries were not processed.`);
  const rows = await db
    .selectFrom('decision')
    .innerJoin('alert', 'alert.id', 'decision.alert_id')
    .select(['alert.fingerprint', 'decision.outcome'])
    .execute();
  const started = new Map<string, number>();
  for (const { fingerprint, outcome } of rows)
    started.set(fingerprint, (started.get(fingerprint) ?? 0) + (outcome === 'RunStarted' ? 1 : 0));
  for (const fingerprint of sender.acknowledged) {
    const runs = started.get(fingerprint);
    if (runs === undefined) problems.push(`The alert ${fingerprint} was acknowledged and lost.`);
    else if (runs !== 1) problems.push(`The alert ${fingerprint} started ${runs} runs.`);
  }
}

/** What the journal says of each effect is what the world knows of it. */
function judgeSteps(
  run: { id: string; outcome: string | null },
  entries: readonly Entry[],
  world: World,
  into: { intended: Set<string>; asked: Record<string, number>; say(sentence: string): void },
): void {
  const { intended, asked, say } = into;
  let open: string | undefined;
  for (const entry of entries) {
    if (entry.kind === 'StepStarted') {
      if (open !== undefined) say(`${entry.data.key} was begun while ${open} was open.`);
      open = entry.data.key;
      intended.add(open);
    }
    if (entry.kind === 'StepAsked' || entry.kind === 'StepSucceeded' || entry.kind === 'StepFailed') {
      const key = `${run.id}/${entry.data.phase}/${entry.data.index}`;
      const happened = world.effects.has(key) || world.repeatable.has(key);
      if (entry.kind === 'StepAsked') {
        asked[entry.data.answer] = (asked[entry.data.answer] ?? 0) + 1;
        if (entry.data.repeat) open = undefined;
        continue;
      }
      const known = entry.kind === 'StepSucceeded' || entry.data.certain;
      if (/^It had taken effect/.test(entry.sentence)) asked.yes = (asked.yes ?? 0) + 1;
      // Verifications and waits are steps, too, and have no effect.
      if (open === key && entry.kind === 'StepSucceeded' && !happened)
        say(`${key} counts as done, and never happened.`);
      if (open === key && entry.kind === 'StepFailed' && entry.data.certain && entry.data.retryAt === null && happened)
        say(`${key} counts as certainly failed, and happened.`);
      if (known) open = undefined;
    }
  }
  if (open !== undefined && run.outcome !== 'Unknown') say(`what became of ${open} was never found out.`);
}
