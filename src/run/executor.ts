/**
 * Carries a run forward, move by move, until it has to wait or has ended. Every move's outcome is handed to the journal
 * before the next is decided, and nothing is done, and no run let go of, before all that was handed over is committed: an
 * effect's intent above all. What is decided in one breath is so committed together, and whoever takes the run over after a
 * crash sees exactly what was certain.
 */

import type { CompiledCall, CompiledRunStep } from '../catalog/compiled-runbook.ts';
import { formatDuration } from '../catalog/duration.ts';
import type { Clock } from '../clock.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { blockingVerdict, evaluateGuards } from '../guard/guard.ts';
import type {
  ActionDefinition,
  ActionInput,
  CallContext,
  Effect,
  EffectContext,
  Happened,
  Json,
  TargetObservation,
} from '../integrations/contract.ts';
import { afterAsking } from './asking-decision.ts';
import {
  apply,
  type Entry,
  type EntryOf,
  type Evidence,
  type Phase,
  type PlannedStep,
  planDigest,
  stepOf,
  wholePlan,
} from './journal.ts';
import { type PreparePorts, prepare, sayingOf, witness } from './prepare.ts';
import type { Reason } from './reasons.ts';
import { type Move, nextMove } from './run-decision.ts';
import { type RunInHand, scopeOf } from './run-in-hand.ts';
import { afterFailure, isCertain, timeoutError } from './step-failure-decision.ts';
import { classifyTarget } from './target-decision.ts';
import { afterLook } from './verification-decision.ts';

/** What is committed together with an entry. */
export interface Attachment {
  approval?: {
    id: string;
    step: number;
    role: string;
    plan: readonly PlannedStep[];
    planDigest: string;
    expiresAt: number;
  };
  page?: { subject: string; body: string };
  /** The approval with this id expires; the entry does not stand when a person decided in the meantime. */
  expires?: { approvalId: string };
}

export interface ExecutorPorts extends PreparePorts {
  clock: Clock;
  newId(): string;
  /**
   * Hands an entry to the journal, and resolves when it is committed. Entries are committed in the order they were handed
   * over, and after one that was not, none is. Rejects when the run is no longer ours; nothing may be done after that.
   */
  append(entry: Entry, attachment?: Attachment): Promise<void>;
  /** Remembers, without an entry, what the run waits for and since when a verification has been watched. */
  note(sentence: string): void;
  /** When a verification was last looked at before this process took the run over, ms since the epoch. */
  lastObserved: number | undefined;
  /** Aborted when the claim on the run is lost. */
  signal: AbortSignal;
  traceparent?: string;
}

/** How long reading facts for one decision may take, ms: long enough for a slow API server, short beside a response time of 15 minutes. */
const readLimit = 20_000;
/** How soon a held run looks again, ms. */
const holdInterval = 3_000;
/** How long a run tries to have its alert confirmed before it gives up and pages, ms. */
const confirmWithin = 60_000;
/** A run that makes this many moves without ever waiting is a mistake of ours, not of the runbook. */
const maxMoves = 1_000;

/** Reasons that leave nobody to tell: there is nothing left to attend to, or people asked for quiet. */
const quietRefusals: ReadonlySet<Reason> = new Set(['NotFiring', 'Silenced']);

/** @returns when the run has to be looked at again, ms since the epoch; undefined when it has ended. */
export async function advance(run: RunInHand, ports: ExecutorPorts): Promise<{ wakeAt: number | undefined }> {
  const executor = new Executor(run, ports);
  try {
    return await moveOn(run, ports, executor);
  } catch (error) {
    // Whatever went wrong, what was handed over is settled before anybody else gets the run.
    await executor.settled().catch(() => {});
    throw error instanceof JournalLost ? error.cause : error;
  }
}

async function moveOn(
  run: RunInHand,
  ports: ExecutorPorts,
  executor: Executor,
): Promise<{ wakeAt: number | undefined }> {
  for (let moves = 0; moves < maxMoves; moves++) {
    const move = nextMove(run.runbook, run.state, ports.clock.now(), {
      ...(run.cancelRequestedBy === undefined ? {} : { cancelRequestedBy: run.cancelRequestedBy }),
    });
    const wakeAt = await executor.make(move);
    if (!run.state.ended && wakeAt === undefined) continue;
    await executor.settled();
    return { wakeAt: run.state.ended ? undefined : wakeAt };
  }
  throw new CatalystError('Internal', `Run ${run.id} made ${maxMoves} moves without waiting.`);
}

class Executor {
  readonly #run: RunInHand;
  readonly #ports: ExecutorPorts;
  #committed: Promise<unknown> = Promise.resolve();
  /** Why the journal took no more. */
  #lost: JournalLost | undefined;

  constructor(run: RunInHand, ports: ExecutorPorts) {
    this.#run = run;
    this.#ports = ports;
  }

  /** @throws JournalLost when an entry was not committed */
  async settled(): Promise<void> {
    await this.#committed;
    if (this.#lost) throw this.#lost;
  }

  /** Makes one move. Returns a time when there is nothing to do before it. */
  async make(move: Move): Promise<number | undefined> {
    switch (move.do) {
      case 'sleep':
        return move.until;
      case 'prepare':
        return this.#prepare();
      case 'requestApproval':
        return this.#requestApproval(move);
      case 'expireApproval':
        return this.#expireApproval(move.step);
      case 'act':
        return this.#act(move.phase, move.index, move.attempt);
      case 'ask':
        return this.#ask(move.phase, move.index);
      case 'startVerify':
        return this.#startVerify(move.index);
      case 'observe':
        return this.#observe(move.index);
      case 'startWait': {
        const step = this.#step(move.index, 'wait');
        if (await this.#skips('steps', move.index, step)) return undefined;
        return this.#append('WaitStarted', `Waits ${formatDuration(step.wait)}.`, {
          index: move.index,
          until: this.#now() + step.wait,
        });
      }
      case 'finishWait':
        return this.#append('StepSucceeded', 'Waited.', {
          phase: 'steps',
          index: move.index,
          result: null,
          target: null,
          readings: [],
        });
      case 'startRollback':
        return this.#append('RollbackStarted', move.sentence, { reason: move.reason });
      case 'end':
        return this.#end(move.outcome, move.reason, move.sentence, { page: move.page === 'page' });
    }
  }

  async #prepare(): Promise<number | undefined> {
    const run = this.#run;
    const preparation = await prepare(run, this.#context(readLimit), this.#ports);
    if (preparation.result === 'refuse') {
      const { reason, sentence, evidence } = preparation;
      return this.#end('Refused', reason, sentence, { page: !quietRefusals.has(reason), evidence });
    }
    if (preparation.result === 'ready')
      return this.#append('Prepared', planSentence(preparation.prepared), preparation.prepared);

    const { reason, sentence } = preparation;
    const since = run.state.held?.reason === reason ? run.state.held.since : undefined;
    const limit = reason === 'Busy' ? run.runbook.guards.queueFor : confirmWithin;
    if (since === undefined) await this.#append('Held', sentence, { reason });
    else if (this.#now() - since >= limit) return this.#end('Refused', reason, sentence, { page: true });
    this.#ports.note(sentence);
    return this.#now() + holdInterval;
  }

  async #requestApproval(move: Extract<Move, { do: 'requestApproval' }>): Promise<undefined> {
    const run = this.#run;
    const prepared = run.state.prepared;
    if (!prepared) throw new CatalystError('Internal', 'An approval needs a plan.');
    if (move.step !== wholePlan && (await this.#skips('steps', move.step, this.#step(move.step, 'approve'))))
      return undefined;
    const plan = prepared.plan.filter((step) => step.index > move.step);
    const digest = planDigest(run.runbook.resource.provenance.digest, prepared.target, plan);
    const expiresAt = this.#now() + move.within;
    const approvalId = this.#ports.newId();
    const why = move.why ? ` ${move.why}` : '';
    return this.#append(
      'ApprovalRequested',
      `A ${move.role} has until ${new Date(expiresAt).toISOString()} to approve.${why}`,
      { step: move.step, approvalId, role: move.role, expiresAt, planDigest: digest },
      { approval: { id: approvalId, step: move.step, role: move.role, plan, planDigest: digest, expiresAt } },
    );
  }

  async #expireApproval(step: number): Promise<undefined> {
    const approvalId = this.#run.state.approvals.get(step)?.approvalId ?? '';
    const data = { step, decision: 'Expired', by: 'engine', comment: '' } as const;
    return this.#append('ApprovalDecided', 'Nobody approved in time.', data, { expires: { approvalId } });
  }

  async #act(phase: Phase, index: number, attempt: number): Promise<number | undefined> {
    const call = this.#callOf(phase, index);
    if (call.kind === 'missing') return this.#fail(phase, index, 'InputInvalid', call.sentence);
    const { step } = call;
    if (phase !== 'undo' && (await this.#skips(phase, index, step))) return undefined;
    const target = await this.#lookAtTarget();
    if (target.verdict === 'Stopped') return undefined;
    if (target.verdict === 'NotSeen') return this.#failed(phase, index, attempt, step, target.error, true);

    const context = this.#context(readLimit);
    const input = await this.#inputOf(phase, index, call, context);
    if (!input.ok) return this.#fail(phase, index, 'FactUnavailable', input.sentence);
    let before: Json;
    try {
      before = await call.action.capture(context, input.input);
    } catch (error) {
      return this.#failed(phase, index, attempt, step, error, true);
    }
    const effect = call.action.effect(input.input, before);
    // Taking back a scale-down brings back what was there: the budget does not stand in its way.
    if (phase !== 'undo') {
      const blocked = await this.#budgetBlocks(effect, context);
      if (blocked) return this.#fail(phase, index, blocked.reason, blocked.sentence);
    }
    const key = `${this.#run.id}/${phase}/${index}`;
    await this.#append('StepStarted', call.action.describe(input.input, before), {
      phase,
      index,
      attempt,
      key,
      action: call.action.name,
      effect,
      input: input.input,
      before,
      readings: input.readings,
    });
    // The intent stands before the effect.
    await this.settled();
    return this.#execute({ phase, index, attempt, key, step, action: call.action, input: input.input, before });
  }

  async #execute(intent: Intent): Promise<number | undefined> {
    const { phase, index, attempt, step, action } = intent;
    const limit = AbortSignal.timeout(step.timeout);
    try {
      const outcome = await action.execute(this.#effectContext(intent.key, limit), intent.input, intent.before);
      return await this.#append('StepSucceeded', outcome.sentence, {
        phase,
        index,
        result: outcome.result,
        target: outcome.target ?? null,
        readings: [],
      });
    } catch (error) {
      // The claim was lost or the journal cannot be written: whoever has the run next asks what happened.
      this.#ports.signal.throwIfAborted();
      if (error instanceof JournalLost) throw error;
      const timedOut = limit.aborted;
      return this.#failed(
        phase,
        index,
        attempt,
        step,
        timedOut ? timeoutError(step, error) : error,
        !timedOut && isCertain(error),
      );
    }
  }

  /** A try failed: again later, not at all, or first find out whether it took effect. */
  async #failed(
    phase: Phase,
    index: number,
    attempt: number,
    step: CompiledRunStep,
    error: unknown,
    certain: boolean,
  ): Promise<undefined> {
    const { reason, retryAt } = afterFailure(step, { attempt, error, certain }, this.#now());
    const data = { phase, index, attempt, reason, certain, retryAt, readings: [] };
    return this.#append('StepFailed', messageOf(error), data);
  }

  /** Finds out what became of an intended effect. */
  async #ask(phase: Phase, index: number): Promise<number | undefined> {
    const state = stepOf(this.#run.state, phase, index);
    const { intent } = state;
    const call = this.#callOf(phase, index);
    if (!intent || call.kind === 'missing')
      return this.#unknown(phase, index, 'The action is not known to this version.');
    const { action, step } = call;
    const context = this.#effectContext(intent.key, AbortSignal.timeout(readLimit));
    let answer: Happened;
    let answered = true;
    try {
      answer = await action.happened(context, intent.input, intent.before);
    } catch (error) {
      this.#ports.signal.throwIfAborted();
      answered = false;
      answer = { answer: 'unknown', sentence: messageOf(error) };
    }
    const repeatable = action.idempotentFor?.(intent.input) ?? action.idempotent;
    const asked = afterAsking(step, { phase, index }, state, { now: this.#now(), answer, answered, repeatable });
    switch (asked.so) {
      case 'Write':
        await this.#write(asked.entry);
        return asked.wakeAt;
      case 'Wait':
        this.#ports.note(asked.sentence);
        return asked.until;
      case 'Unknown':
        return this.#unknown(phase, index, asked.sentence);
    }
  }

  #unknown(phase: Phase, index: number, sentence: string): Promise<undefined> {
    const where = phase === 'steps' ? `Step ${index + 1}` : `A step of the ${phase}`;
    return this.#end(
      'Unknown',
      'EffectUnknown',
      `${where} may or may not have taken effect: ${sentence} A person has to look.`,
      { page: true },
    );
  }

  async #startVerify(index: number): Promise<undefined> {
    const step = this.#step(index, 'verify');
    if (await this.#skips('steps', index, step)) return undefined;
    const deadline = this.#now() + step.within;
    return this.#append('VerifyStarted', `Watches ${sayingOf(step)} until ${new Date(deadline).toISOString()}.`, {
      index,
      deadline,
    });
  }

  async #observe(index: number): Promise<number | undefined> {
    const step = this.#step(index, 'verify');
    // A target that cannot be seen now decides nothing: the check goes on until its own limit.
    if ((await this.#lookAtTarget()).verdict === 'Stopped') return undefined;
    const evidence = await witness(step.check, this.#scope(), this.#ports.world.reader(this.#context(readLimit)));
    const now = this.#now();
    const state = stepOf(this.#run.state, 'steps', index);
    const { entries, again } = afterLook(step, index, state, { now, evidence, lastObserved: this.#ports.lastObserved });
    for (const entry of entries) await this.#write(entry);
    if (!again) return undefined;
    this.#ports.lastObserved = now;
    this.#ports.note(again.sentence);
    return again.at;
  }

  /** Ends the run when someone else has touched the target since. */
  async #lookAtTarget(): Promise<{ verdict: 'Fine' | 'Stopped' } | { verdict: 'NotSeen'; error: unknown }> {
    const { expected, prepared, actedAt } = this.#run.state;
    const target = prepared?.target;
    const provider = target && this.#ports.world.targets(target.kind);
    if (!target || !expected || !provider) return { verdict: 'Fine' };
    let observed: TargetObservation;
    try {
      observed = await provider.observe(this.#context(readLimit), target);
    } catch (error) {
      this.#ports.signal.throwIfAborted();
      return { verdict: 'NotSeen', error };
    }
    const verdict = classifyTarget(expected, observed);
    if (verdict.verdict === 'Same') return { verdict: 'Fine' };
    const mayBeOurs = verdict.verdict === 'ChangedByOthers' && this.#run.state.expectAnew === true;
    if (verdict.verdict === 'ChangedByController' || mayBeOurs) {
      this.#run.state.expected = observed;
      delete this.#run.state.expectAnew;
      return { verdict: 'Fine' };
    }
    const outcome = actedAt === undefined ? 'Refused' : 'Cancelled';
    const name = `${target.kind} ${target.name}`;
    if (verdict.verdict === 'ChangedByOthers') {
      const sentence = `${verdict.by} changed ${name} while the run acted on it; the run leaves it to them.`;
      await this.#end(outcome, 'ChangedByOthers', sentence, { page: true });
    } else {
      const sentence = verdict.verdict === 'Gone' ? `${name} is gone.` : `Another ${name} has taken its place.`;
      await this.#end(outcome, 'TargetReplaced', sentence, { page: true });
    }
    return { verdict: 'Stopped' };
  }

  async #budgetBlocks(effect: Effect, context: CallContext): Promise<{ reason: Reason; sentence: string } | undefined> {
    if (effect !== 'ScaleUp') return undefined;
    const budget = await this.#ports.world.budget(context, this.#run.organization);
    const { guards: limits } = this.#run.runbook;
    return blockingVerdict(evaluateGuards({ now: this.#now(), limits, effects: [effect], history: [], budget }));
  }

  async #skips(phase: Phase, index: number, step: { when?: CompiledRunStep['when'] }): Promise<boolean> {
    if (!step.when) return false;
    const evidence = await witness(step.when, this.#scope(), this.#ports.world.reader(this.#context(readLimit)));
    if (evidence.error !== undefined) {
      await this.#fail(phase, index, 'FactUnavailable', `Its "when" cannot be told: ${evidence.error}`);
      return true;
    }
    if (evidence.value === true) return false;
    await this.#append('StepSkipped', `${step.when.source} is false.`, { phase, index, readings: evidence.readings });
    return true;
  }

  /** What a step of any phase carries out. */
  #callOf(phase: Phase, index: number): ActionCall | { kind: 'missing'; sentence: string } {
    const { runbook, state } = this.#run;
    if (phase === 'rollback') {
      const step = runbook.rollback.kind === 'steps' ? runbook.rollback.steps[index] : undefined;
      if (!step) return { kind: 'missing', sentence: 'The rollback has no such step.' };
      return { kind: 'written', step, action: step.call.action, call: step.call };
    }
    const step = this.#step(index, 'run');
    if (phase === 'steps') return { kind: 'written', step, action: step.call.action, call: step.call };
    if (step.undo) return { kind: 'written', step, action: step.undo.action, call: step.undo };
    const done = state.steps.steps[index];
    const undo = done?.intent && step.call.action.undo?.(done.intent.input, done.intent.before, done.result ?? null);
    const action = undo && this.#ports.world.vocabulary.actions.get(undo.action);
    if (!undo || !action)
      return { kind: 'missing', sentence: `${step.call.action.name} cannot say how to take this back.` };
    return { kind: 'given', step, action, input: undo.input };
  }

  async #inputOf(
    phase: Phase,
    index: number,
    call: ActionCall,
    context: CallContext,
  ): Promise<
    | { ok: true; input: ActionInput; readings: EntryOf<'StepStarted'>['data']['readings'] }
    | { ok: false; sentence: string }
  > {
    if (call.kind === 'given') return { ok: true, input: call.input, readings: [] };
    const planned = phase === 'steps' ? this.#run.state.prepared?.plan[index]?.input : undefined;
    if (planned) return { ok: true, input: planned, readings: [] };
    const resolved = await call.call.resolve(this.#scope(), this.#ports.world.reader(context));
    return resolved.ok ? resolved : { ok: false, sentence: resolved.error.message };
  }

  #fail(phase: Phase, index: number, reason: Reason, sentence: string): Promise<undefined> {
    return this.#append('StepFailed', sentence, { phase, index, reason, certain: true, retryAt: null, readings: [] });
  }

  #end(
    outcome: EntryOf<'Ended'>['data']['outcome'],
    reason: Reason,
    sentence: string,
    { page, evidence = [] }: { page: boolean; evidence?: Evidence[] },
  ): Promise<undefined> {
    const name = this.#run.runbook.resource.metadata.name;
    const about = this.#run.alert ? ` for ${this.#run.alert.name}` : '';
    const attachment = page ? { page: { subject: `${name}${about}: ${outcome}`, body: sentence } } : undefined;
    return this.#append('Ended', sentence, { outcome, reason, evidence }, attachment);
  }

  async #append<K extends Entry['kind']>(
    kind: K,
    sentence: string,
    data: EntryOf<K>['data'],
    attachment?: Attachment,
  ): Promise<undefined> {
    // The three fields belong together by their types; TypeScript cannot see it through the generic kind.
    return this.#write({ at: this.#now(), kind, sentence, data } as unknown as Entry, attachment);
  }

  async #write(entry: Entry, attachment?: Attachment): Promise<undefined> {
    if (this.#lost) throw this.#lost;
    const committed = this.#ports.append(entry, attachment).catch((error: unknown) => {
      this.#lost ??= new JournalLost(error);
    });
    this.#committed = Promise.all([this.#committed, committed]);
    apply(this.#run.state, entry);
  }

  #step<K extends 'run' | 'verify' | 'wait' | 'approve'>(index: number, kind: K) {
    const step = this.#run.runbook.steps[index];
    if (step?.kind !== kind) throw new CatalystError('Internal', `Step ${index + 1} is not a ${kind} step.`);
    return step as Extract<typeof step, { kind: K }>;
  }

  #now(): number {
    return this.#ports.clock.now();
  }

  #scope() {
    return scopeOf(this.#run, this.#run.state.prepared?.target ?? undefined);
  }

  #context(limit: number): CallContext {
    const { clock, signal, traceparent } = this.#ports;
    return {
      clock,
      signal: AbortSignal.any([signal, AbortSignal.timeout(limit)]),
      ...(traceparent ? { traceparent } : {}),
    };
  }

  #effectContext(idempotencyKey: string, limit: AbortSignal): EffectContext {
    const { clock, signal, traceparent } = this.#ports;
    return { clock, signal: AbortSignal.any([signal, limit]), idempotencyKey, ...(traceparent ? { traceparent } : {}) };
  }
}

type ActionCall =
  | { kind: 'written'; step: CompiledRunStep; action: ActionDefinition; call: CompiledCall }
  | { kind: 'given'; step: CompiledRunStep; action: ActionDefinition; input: ActionInput };

interface Intent {
  phase: Phase;
  index: number;
  attempt: number;
  key: string;
  step: CompiledRunStep;
  action: ActionDefinition;
  input: ActionInput;
  before: Json;
}

/** The journal did not take an entry: not a failure of the step, and not one to write down. */
class JournalLost extends Error {
  constructor(cause: unknown) {
    super('The journal could not be written.', { cause });
  }
}

function planSentence(prepared: EntryOf<'Prepared'>['data']): string {
  const actions = prepared.plan.filter((step) => step.kind === 'run' && !step.skipped);
  return actions.length === 0 ? 'Nothing will be changed.' : `Plan: ${actions.map((step) => step.sentence).join(' ')}`;
}
