/**
 * What would be done about an alert right now, and why, or why not: the engine's own matching, guards, preconditions and
 * plan, looked at and not carried out. Nothing is written and nothing is changed; facts are read.
 */
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Mode } from '../catalog/kinds/runbook.ts';
import type { Considered } from '../catalog/match.ts';
import type { FactReading } from '../check/check.ts';
import type { GuardVerdict } from '../guard/guard.ts';
import type { BoundTarget, CallContext, Json } from '../integrations/contract.ts';
import type { Evidence, PlannedStep } from './journal.ts';
import { newState } from './journal.ts';
import { type PreparePorts, survey } from './prepare.ts';
import type { Reason } from './reasons.ts';
import type { RunInHand } from './run-in-hand.ts';

/** What a run would do next if it began now. */
export type Verdict = 'Acts' | 'AsksForApproval' | 'Suggests' | 'Waits' | 'Refuses' | 'NoRunbook';

/** One runbook held against the world as it is. Times in milliseconds since the epoch. */
export interface Preview {
  runbook: string;
  mode: Mode;
  /** Why the alert counts as firing, or as not. */
  confirmation: string;
  target: BoundTarget | undefined;
  preconditions: Evidence[];
  guards: GuardVerdict[];
  plan: PlannedStep[];
  /** Every fact that was read: its value, when it was read and how long that took. */
  readings: FactReading[];
  /** Everything that stands in the way, the decisive one first. */
  obstacles: { reason: Reason; sentence: string }[];
}

export interface RunbookExplanation {
  /** When the verdict was given: the ages of facts count up to here. */
  at: number;
  verdict: Verdict;
  reason: Reason;
  sentence: string;
  alert:
    | { id?: string | undefined; name: string; labels: Record<string, string>; organization?: string | undefined }
    | undefined;
  /** Every runbook that names the alert, and why it was or was not taken. */
  considered: readonly Considered[];
  preview: Preview | undefined;
}

/** The run that is thought of. It is not in the database, and no one else sees it. */
export interface ThoughtOf {
  runbook: CompiledRunbook;
  mode: Mode;
  organization: string | undefined;
  alert: RunInHand['alert'];
  incident?: RunInHand['incident'];
  inputs: Record<string, Json>;
}

export async function explainRun(
  thought: ThoughtOf,
  considered: readonly Considered[],
  context: CallContext,
  ports: PreparePorts,
): Promise<RunbookExplanation> {
  const run: RunInHand = {
    incident: undefined,
    ...thought,
    id: 'explained',
    createdAt: context.clock.now(),
    cancelRequestedBy: undefined,
    state: newState(),
  };
  const seen = await survey(run, context, ports, 'everything');
  const { alert, organization, mode } = thought;
  return {
    at: context.clock.now(),
    ...verdictOf(mode, seen.obstacles[0]),
    alert: alert && { id: alert.id || undefined, name: alert.name, labels: { ...alert.labels }, organization },
    considered,
    preview: {
      runbook: thought.runbook.resource.metadata.name,
      mode,
      confirmation: seen.confirmation,
      target: seen.target,
      preconditions: seen.preconditions,
      guards: seen.guards,
      plan: seen.plan,
      readings: [...seen.readings],
      obstacles: seen.obstacles.map(({ reason, sentence }) => ({ reason, sentence })),
    },
  };
}

/** No runbook is for it. */
export function explainNothing(
  at: number,
  alert: NonNullable<RunbookExplanation['alert']>,
  considered: readonly Considered[],
): RunbookExplanation {
  const sentence = `No runbook is triggered by ${alert.name}.`;
  return { at, verdict: 'NoRunbook', reason: 'NoRunbook', sentence, alert, considered, preview: undefined };
}

function verdictOf(
  mode: Mode,
  obstacle: Awaited<ReturnType<typeof survey>>['obstacles'][number] | undefined,
): Pick<RunbookExplanation, 'verdict' | 'reason' | 'sentence'> {
  if (obstacle) {
    const { reason, sentence } = obstacle;
    return { verdict: obstacle.result === 'hold' ? 'Waits' : 'Refuses', reason, sentence };
  }
  switch (mode) {
    case 'Suggest':
      return {
        verdict: 'Suggests',
        reason: 'Suggested',
        sentence: 'It would say what it would do, and do nothing: the mode is Suggest.',
      };
    case 'Approval':
      return {
        verdict: 'AsksForApproval',
        reason: 'AwaitingApproval',
        sentence: 'It would ask a person to approve the plan.',
      };
    case 'Automatic':
      return { verdict: 'Acts', reason: 'RunStarted', sentence: 'It would carry out the plan by itself.' };
  }
}

const time = (at: number) => new Date(at).toISOString();
type Shown<T> = Omit<T, 'at'> & { at: string };

/** An explanation as API and command line show it: times as RFC 3339. */
export interface ExplanationView extends Omit<RunbookExplanation, 'at' | 'preview'> {
  at: string;
  preview?: Omit<Preview, 'readings' | 'preconditions'> & {
    readings: Shown<FactReading>[];
    preconditions: (Omit<Evidence, 'readings'> & { readings: Shown<FactReading>[] })[];
  };
}

export function viewOf({ at, preview, ...explanation }: RunbookExplanation): ExplanationView {
  const reading = (one: FactReading) => ({ ...one, at: time(one.at) });
  if (!preview) return { ...explanation, at: time(at) };
  const preconditions = preview.preconditions.map((seen) => ({ ...seen, readings: seen.readings.map(reading) }));
  return {
    ...explanation,
    at: time(at),
    preview: { ...preview, readings: preview.readings.map(reading), preconditions },
  };
}
