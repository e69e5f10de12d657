/**
 * Game days: breaks something in a pocket Sovereign, and tells what the product does about it as it happens. What a
 * server offers under --drills; `drill.ts` does the same in a Sovereign of its own.
 */
import { FAULTS, type FaultName } from '../../sandbox/faults.ts';
import type { DrillEvent, DrillResult, DrillRun, Drills } from '../api/ports.ts';
import { appendRecord, recordHead } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { type DrillStage, watchDrill } from './drill-watch.ts';

export function drills(): { name: string; title: string; description: string }[] {
  return Object.entries(FAULTS).map(([name, { title, section, alert, breaks }]) => ({
    name,
    title,
    description: `${breaks} ${alert} follows (handbook ${section}).`,
  }));
}

/** The drills of a server: one at a time, each on record. */
export function createDrills(stage: DrillStage): Drills & { stop(): void } {
  const last = new Map<string, DrillRun>();
  const stopping = new AbortController();
  let running: DrillRun | undefined;
  return {
    list: () => drills().map((drill) => ({ ...drill, last: last.get(drill.name) })),
    start: (name, actor) => {
      const fault = faultNamed(name);
      if (running)
        throw new CatalystError('InvalidState', `The drill ${running.name} is running.`, {
          hint: 'Wait until it has ended.',
        });
      if (!stage.sandbox.isHealthy(fault))
        throw new CatalystError('InvalidState', `What ${name} breaks is broken already.`, {
          hint: 'Repair it first, or start a new sandbox.',
        });
      const events: DrillEvent[] = [];
      const run: DrillRun = { name, state: 'Running', startedAt: stage.clock.now(), startedBy: actor.id, events };
      running = run;
      last.set(name, run);
      void breakAndWatch(fault, actor.id, stage, (event) => events.push(event), stopping.signal)
        .catch(
          (error: unknown): DrillResult => ({
            passed: false,
            sentence: messageOf(error),
            took: stage.clock.now() - run.startedAt,
            measured: {},
          }),
        )
        .then((result) => {
          run.result = result;
          run.state = result.passed ? 'Passed' : 'Failed';
          running = undefined;
          // Only now: whoever reads it because of its end has to find it ended.
          stage.committed?.();
        });
      return run;
    },
    stop: () => stopping.abort(new Error('The server stops.')),
  };
}

/** Puts the fault into the world and follows what is done about it; both ends are on record. */
export async function breakAndWatch(
  fault: FaultName,
  actor: string,
  stage: DrillStage,
  onEvent: (event: DrillEvent) => void,
  signal: AbortSignal,
): Promise<DrillResult> {
  const { db, sandbox, clock, committed = () => {} } = stage;
  const { breaks } = FAULTS[fault];
  await note(db, 'drill.started', actor, `The drill ${fault} was started: ${breaks}`, clock);
  committed();
  const after = await recordHead(db);
  onEvent({ at: 0, kind: 'fault', sentence: breaks });
  sandbox.inject(fault);
  const result = await watchDrill(fault, after, stage, onEvent, signal);
  await note(
    db,
    'drill.ended',
    actor,
    `The drill ${fault} ${result.passed ? 'passed' : 'failed'}: ${result.sentence}`,
    clock,
  );
  return result;
}

async function note(
  db: Database,
  kind: 'drill.started' | 'drill.ended',
  actor: string,
  sentence: string,
  clock: Clock,
) {
  await db.transaction().execute((tx) => appendRecord(tx, [{ at: clock.now(), kind, actor, sentence, data: {} }]));
}

/** @throws CatalystError NotFound for a name that is none */
export function faultNamed(name: string): FaultName {
  if (Object.hasOwn(FAULTS, name)) return name as FaultName;
  throw new CatalystError('NotFound', `There is no drill ${name}.`, { hint: 'catalyst-sre drill list names them.' });
}
