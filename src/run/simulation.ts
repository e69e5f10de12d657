/**
 * A run in memory, on a clock that jumps: the same decisions and the same executor as in production, with a journal that
 * is an array. What `runbook test` and the engine's own tests stand on.
 */
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Mode } from '../catalog/kinds/runbook.ts';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import { type Attachment, advance, type ExecutorPorts } from './executor.ts';
import { apply, type Entry, fold, newState } from './journal.ts';
import type { RunInHand } from './run-in-hand.ts';
import type { World } from './world.ts';

export interface Simulation {
  runbook: CompiledRunbook;
  world: World;
  /** `VirtualClock`, or another that lets time pass when asked. */
  clock: Clock & { advance(ms: number): Promise<void> };
  mode: Mode;
  alert?: RunInHand['alert'];
  incident?: RunInHand['incident'];
  organization?: string;
  inputs?: Record<string, Json>;
  confirmFiring?: 'Required' | 'WhenPossible';
  /** Earlier runs of the runbook on the target. */
  history?: readonly { actedAt: number; endedAt: number | undefined }[];
  /** Says whether the concurrency key is free at this time. */
  lockFree?: (now: number) => boolean;
  /** What people decide about the approval of this step (-1: the whole plan); undefined lets it expire. */
  decide?: (step: number) => 'Approved' | 'Rejected' | undefined;
  /** The process dies instead of committing this entry, or right after it did. */
  crash?: (entry: Entry, moment: 'before' | 'after') => boolean;
  /** A person asks to cancel once this entry is in the journal. */
  cancelAfter?: (entry: Entry) => boolean;
}

export interface SimulatedRun {
  entries: Entry[];
  pages: { subject: string; body: string }[];
  run: RunInHand;
  /** Times the process died. */
  crashes: number;
}

/** A run that has not ended after so many wake-ups never will: two days of looking every ten seconds. */
const mostWakeUps = 20_000;

class SimulatedCrash extends Error {}

/** Runs it to its end. @throws CatalystError TimedOut when it does not come to one. */
export async function simulate(simulation: Simulation): Promise<SimulatedRun> {
  const { clock } = simulation;
  const result: SimulatedRun = { entries: [], pages: [], run: newRun(simulation), crashes: 0 };
  const ports = portsOf(simulation, result);
  for (let wakeUps = 0; wakeUps < mostWakeUps; wakeUps++) {
    try {
      const { wakeAt } = await advance(result.run, ports);
      if (wakeAt === undefined) return result;
      if (decidePending(simulation, result)) continue;
      await clock.advance(Math.max(0, wakeAt - clock.now()));
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error;
      result.crashes += 1;
      // What the next process knows is what was committed.
      result.run.state = fold(result.entries);
    }
  }
  throw new CatalystError('TimedOut', `The run did not end: ${result.entries.at(-1)?.sentence ?? 'it did nothing'}`);
}

function newRun(simulation: Simulation): RunInHand {
  return {
    id: 'simulated',
    runbook: simulation.runbook,
    organization: simulation.organization,
    mode: simulation.mode,
    alert: simulation.alert,
    incident: simulation.incident,
    inputs: simulation.inputs ?? {},
    createdAt: simulation.clock.now(),
    cancelRequestedBy: undefined,
    state: newState(),
  };
}

function portsOf(simulation: Simulation, result: SimulatedRun): ExecutorPorts {
  let ids = 0;
  return {
    clock: simulation.clock,
    world: simulation.world,
    newId: () => `id-${++ids}`,
    confirmFiring: simulation.confirmFiring ?? 'Required',
    signal: new AbortController().signal,
    lastObserved: undefined,
    history: async () => [...(simulation.history ?? [])],
    lock: async () => simulation.lockFree?.(simulation.clock.now()) ?? true,
    note: () => {},
    append: async (entry, attachment) => commit(simulation, result, entry, attachment),
  };
}

function commit(simulation: Simulation, result: SimulatedRun, entry: Entry, attachment: Attachment | undefined) {
  if (simulation.crash?.(entry, 'before')) throw new SimulatedCrash();
  // Through JSON, as the database would have it: what does not survive that must not be relied on.
  result.entries.push(JSON.parse(JSON.stringify(entry)) as Entry);
  if (attachment?.page) result.pages.push(attachment.page);
  if (simulation.cancelAfter?.(entry)) result.run.cancelRequestedBy = 'user/test';
  if (simulation.crash?.(entry, 'after')) throw new SimulatedCrash();
}

/** Lets people decide what waits for them. @returns whether they did. */
function decidePending(simulation: Simulation, result: SimulatedRun): boolean {
  for (const [step, approval] of result.run.state.approvals) {
    const decision = approval.decision === undefined ? simulation.decide?.(step) : undefined;
    if (decision === undefined) continue;
    const sentence = `user/test ${decision === 'Approved' ? 'approved' : 'rejected'} the plan.`;
    const entry: Entry = {
      at: simulation.clock.now(),
      kind: 'ApprovalDecided',
      sentence,
      data: { step, decision, by: 'user/test', comment: '' },
    };
    result.entries.push(entry);
    apply(result.run.state, entry);
    return true;
  }
  return false;
}
