/**
 * The CEL environment: variables, functions, and every fact as a typed field or method of its integration's name, so
 * that CEL's own checker knows `openbao.status.sealed` is a bool and where in the text `seald` stands.
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import type { FactDefinition } from '../integrations/contract.ts';
import type { InputTypes } from './check.ts';
import { glob, re2 } from './pattern.ts';
import { type CelValue, fromCel } from './value.ts';

/** Answers a fact during evaluation, or throws because it has to be read first. */
export type Ask = (fact: FactDefinition, args: readonly unknown[]) => CelValue;

/** Structural limits. Real checks have some twenty nodes and a depth of five; these leave room and keep parsing instant. */
const limits = { maxAstNodes: 500, maxDepth: 32, maxListElements: 200, maxMapEntries: 100, maxCallArguments: 16 };

/** Thrown by `ask` for a fact that is not known yet. */
export class FactNeeded extends Error {}

/** Scope's variables and their CEL types; `inputs` is added for each runbook. */
const variables = {
  alert: {
    name: 'string',
    labels: 'map<string, string>',
    annotations: 'map<string, string>',
    startsAt: 'google.protobuf.Timestamp',
    fingerprint: 'string',
  },
  target: { apiVersion: 'string', kind: 'string', namespace: 'string', name: 'string', uid: 'string' },
  incident: { id: 'string', type: 'string', severity: 'string' },
  run: { id: 'string', startedAt: 'google.protobuf.Timestamp' },
} as const;

/** All names a Scope may have. */
export const variableNames: ReadonlySet<string> = new Set([...Object.keys(variables), 'inputs', 'steps']);

const celTypes = { timestamp: 'google.protobuf.Timestamp', 'map<string, dyn>': 'map<string, dyn>' } as const;

function celType(type: string): string {
  return type in celTypes ? celTypes[type as keyof typeof celTypes] : type;
}

/** A first word of facts, as an object the evaluation starts from. */
export type Root = new (ask: Ask) => object;

/** An environment and the constructors of its fact roots by name. */
export interface FactEnvironment {
  environment: Environment;
  roots: ReadonlyMap<string, Root>;
}

/** Makes the environment of a vocabulary. Throws Error for facts whose names clash: a mistake in an integration. */
export function createEnvironment(facts: ReadonlyMap<string, FactDefinition>): FactEnvironment {
  const environment = new Environment({ limits });
  for (const [name, schema] of Object.entries(variables)) environment.registerVariable(name, { schema });
  environment.registerVariable('steps', 'map<string, dyn>');
  registerFunctions(environment);
  const roots = new Map<string, Root>();
  for (const name of new Set([...facts.keys()].map((fact) => fact.split('.')[0] ?? ''))) {
    if (variableNames.has(name)) throw new Error(`The facts of ${name} cannot be named: ${name} is a variable.`);
    roots.set(name, registerNamespace(environment, name, facts));
    environment.registerVariable(name, name);
  }
  return { environment, roots };
}

/** The environment with `inputs.NAME` declared. */
export function withInputs(environment: Environment, inputs: InputTypes): Environment {
  const own = environment.clone();
  own.registerVariable('inputs', { schema: { ...inputs } });
  return own;
}

function registerFunctions(environment: Environment): void {
  const sync = { async: false } as const;
  environment.registerFunction('re2(string, string): bool', re2, sync);
  environment.registerFunction('glob(string, string): bool', glob, sync);
  environment.registerFunction('quoted(string): string', quoted, sync);
  environment.registerFunction('readable(ast): bool', readable, sync);
}

/**
 * A text as a string literal of PromQL and CEL, quotes included, so that a label's value stays a value whatever it holds.
 */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** The macro `readable(x)`: can x be evaluated at all? */
function readable({ args }: { args: ASTNode[] }) {
  const [expression] = args;
  return {
    async: false,
    typeCheck(
      checker: { check(node: ASTNode | undefined, context: unknown): unknown; getType(name: string): unknown },
      _macro: unknown,
      context: unknown,
    ) {
      checker.check(expression, context);
      return checker.getType('bool');
    },
    evaluate(
      evaluator: { run(node: ASTNode | undefined, context: unknown): unknown },
      _macro: unknown,
      context: unknown,
    ) {
      try {
        evaluator.run(expression, context);
        return true;
      } catch (error) {
        if (error instanceof FactNeeded) throw error;
        return false;
      }
    },
  };
}

/** Registers the type of one dotted prefix, its plain facts as fields and its parametrised ones as methods. */
function registerNamespace(environment: Environment, path: string, facts: ReadonlyMap<string, FactDefinition>): Root {
  const members = new Map<string, FactDefinition | Root>();
  const fields: Record<string, string> = {};
  for (const [name, fact] of facts) {
    if (!name.startsWith(`${path}.`)) continue;
    const [member = '', ...rest] = name.slice(path.length + 1).split('.');
    if (rest.length === 0) {
      if (!fact.parameters) fields[member] = celType(fact.returns);
      if (members.has(member)) throw new Error(`The fact ${name} is also the beginning of other facts' names.`);
      members.set(member, fact);
    } else if (!members.has(member)) {
      members.set(member, registerNamespace(environment, `${path}.${member}`, facts));
      fields[member] = `${path}.${member}`;
    } else if (!(typeof members.get(member) === 'function'))
      throw new Error(`The fact ${path}.${member} is also the beginning of ${name}.`);
  }
  const ctor = namespaceClass(members);
  environment.registerType(path, { ctor, fields });
  for (const [member, fact] of members) {
    if (typeof fact === 'function' || !fact.parameters) continue;
    const types = fact.parameters.map((p) => celType(p.type)).join(', ');
    environment.registerFunction(
      `${path}.${member}(${types}): ${celType(fact.returns)}`,
      (receiver: Namespace, ...args: unknown[]) => receiver[asking](fact, args.map(fromCel)),
      { async: false },
    );
  }
  return ctor;
}

/** A symbol, so that no fact's name can hide it. */
const asking = Symbol('ask');

class Namespace {
  readonly [asking]: Ask;
  constructor(ask: Ask) {
    this[asking] = ask;
  }
}

/** A class whose getters answer plain facts and lead on to longer names. */
function namespaceClass(members: ReadonlyMap<string, FactDefinition | Root>): Root {
  const ctor = class extends Namespace {};
  for (const [member, fact] of members) {
    if (typeof fact !== 'function' && fact.parameters) continue;
    const get = function (this: Namespace) {
      return typeof fact === 'function' ? new fact(this[asking]) : this[asking](fact, []);
    };
    Object.defineProperty(ctor.prototype, member, { get });
  }
  return ctor;
}
