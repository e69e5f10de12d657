/**
 * What all integrations do alike: typed actions over the untyped contract, the answer of an integration nobody
 * configured, and health that never throws.
 */
import type { Static, TObject } from 'typebox';
import { CatalystError, messageOf } from '../errors.ts';
import type {
  ActionDefinition,
  ActionInput,
  ActionOutcome,
  CallContext,
  Effect,
  EffectContext,
  Happened,
  IntegrationHealth,
  Json,
} from './contract.ts';
import { mismatch } from './shape.ts';

/** An action whose input is typed by its schema and whose `before` is what its own `capture` returns. */
export interface TypedAction<Schema extends TObject, Before> {
  name: string;
  description: string;
  input: Schema;
  positional?: readonly string[];
  example: string;
  effects: readonly Effect[];
  effect(input: Static<Schema>, before: Before): Effect;
  idempotent: boolean;
  idempotentFor?(input: Static<Schema>): boolean;
  describe(input: Static<Schema>, before: Before): string;
  capture(context: CallContext, input: Static<Schema>): Promise<Before>;
  execute(context: EffectContext, input: Static<Schema>, before: Before): Promise<ActionOutcome>;
  happened(context: EffectContext, input: Static<Schema>, before: Before): Promise<Happened>;
  undo?(input: Static<Schema>, before: Before, result: Json): { action: string; input: ActionInput } | undefined;
}

/**
 * Makes a contract action of a typed one. Input is checked against the schema before anything is read or done, so that
 * an action is safe to call from anywhere; `before` is trusted, since only our own journal gives it back.
 */
export function defineAction<Schema extends TObject, Before>(action: TypedAction<Schema, Before>): ActionDefinition {
  const input = (value: ActionInput): Static<Schema> => {
    const wrong = mismatch(action.input, value);
    if (wrong === undefined) return value as Static<Schema>;
    throw new CatalystError('BadRequest', `input of "${action.name}" is wrong: ${wrong}`, {
      hint: `Write it like: ${action.example}`,
    });
  };
  const before = (value: Json): Before => value as unknown as Before;
  const { undo, idempotentFor } = action;
  return {
    name: action.name,
    description: action.description,
    input: action.input,
    ...(action.positional === undefined ? {} : { positional: action.positional }),
    example: action.example,
    effects: action.effects,
    idempotent: action.idempotent,
    ...(idempotentFor === undefined ? {} : { idempotentFor: (value) => idempotentFor.call(action, input(value)) }),
    effect: (value, seen) => action.effect(input(value), before(seen)),
    describe: (value, seen) => action.describe(input(value), before(seen)),
    capture: async (context, value) => (await action.capture(context, input(value))) as unknown as Json,
    execute: async (context, value, seen) => action.execute(context, input(value), before(seen)),
    happened: async (context, value, seen) => action.happened(context, input(value), before(seen)),
    ...(undo === undefined
      ? {}
      : { undo: (value, seen, result) => undo.call(action, input(value), before(seen), result) }),
  };
}

/** What was made from a configuration, or NotConfigured with the key that is missing. */
export function configured<T>(made: T | undefined, system: string): T {
  if (made !== undefined) return made;
  throw new CatalystError('NotConfigured', `${system} is not configured`, {
    hint: `Set integrations.${system} in the configuration.`,
  });
}

/** Runs a probe and turns what it throws into an answer. */
export async function healthOf(probe: () => Promise<string>): Promise<IntegrationHealth> {
  try {
    return { healthy: true, sentence: await probe() };
  } catch (error) {
    const hint = error instanceof CatalystError && error.hint !== undefined ? ` ${error.hint}` : '';
    return { healthy: false, sentence: `${messageOf(error)}.${hint}` };
  }
}

/** True when the probe succeeds, false when the system could not be reached or answered with an error. Never hides NotConfigured. */
export async function reachable(probe: () => Promise<unknown>): Promise<boolean> {
  try {
    await probe();
    return true;
  } catch (error) {
    if (error instanceof CatalystError && error.code === 'NotConfigured') throw error;
    return false;
  }
}

/** A fact's or an answer's argument as text. Throws BadRequest. */
export function textArgument(args: readonly Json[], index: number, name: string): string {
  const value = args[index];
  if (typeof value === 'string' && value !== '') return value;
  throw new CatalystError('BadRequest', `argument ${index + 1} (${name}) must be a text that is not empty`);
}

/** True for a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
