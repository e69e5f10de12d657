/** Binds a `run:` line and its `with:` to the action they name. */
import type { TSchema } from 'typebox';
import { ExpressionError, type FactReading, type Language, type Template } from '../check/check.ts';
import { didYouMean } from '../check/nearest.ts';
import { constant } from '../check/template.ts';
import { CatalystError } from '../errors.ts';
import type { ActionDefinition, ActionInput, Json } from '../integrations/contract.ts';
import {
  coerce,
  flagOfProperty,
  itemsOf,
  propertiesOf,
  propertyOfFlag,
  typeMismatch,
  typesOf,
  withDefaults,
} from './action-input.ts';
import type { CompiledCall } from './compiled-runbook.ts';
import { dropPrefix, splitWords, type Word } from './run-line.ts';
import { type Path, validate } from './schema.ts';

/** Says what is wrong, where below the call's own place in the document. */
export type Report = (rule: string, path: Path, sentence: string, offset?: number) => void;

interface Field {
  /** Several only for a flag that was given several times. */
  templates: Template[];
  /** Words may be read as numbers; values of `with:` are what YAML says they are. */
  fromWords: boolean;
  path: Path;
  offset: number;
}

/** Compiles a call, or reports why not and returns undefined. Paths reported begin with `run` or `with`. */
export function compileCall(
  source: { run: string; with?: Record<string, unknown> },
  language: Language,
  report: Report,
): CompiledCall | undefined {
  let sound = true;
  const complain: Report = (...problem) => {
    sound = false;
    report(...problem);
  };
  const words = tryExpression(() => splitWords(source.run), ['run'], complain);
  if (!words) return undefined;
  const found = findAction(words, language, complain);
  if (!found) return undefined;
  const { action, rest } = found;
  const fields = new Map<string, Field>();
  readWords(action, rest, language, fields, complain);
  for (const [name, value] of Object.entries(source.with ?? {}))
    readWith(action, name, value as Json, language, fields, complain);
  if (sound) checkFields(action, fields, complain);
  return sound ? bind(action, source.run, fields) : undefined;
}

function tryExpression<T>(step: () => T, path: Path, report: Report, offset = 0): T | undefined {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    report(error.rule, [...path, ...error.path], error.message, error.offset + offset);
    return undefined;
  }
}

/** The longest action name that the first words spell. */
function findAction(words: readonly Word[], language: Language, report: Report) {
  const { actions } = language.vocabulary;
  const plain: string[] = [];
  for (const word of words) {
    if (word.text === undefined || word.text.startsWith('--')) break;
    plain.push(word.text);
  }
  for (let length = plain.length; length > 0; length--) {
    const action = actions.get(plain.slice(0, length).join(' '));
    if (action) return { action, rest: words.slice(length) };
  }
  report('unknown-action', ['run'], unknownAction(plain, [...actions.keys()]), words[0]?.offset ?? 0);
  return undefined;
}

function unknownAction(words: readonly string[], names: readonly string[]): string {
  const [integration = ''] = words;
  const own = names.filter((n) => n.startsWith(`${integration} `));
  // Compared with as many words as each name has, so that what follows the name does not count.
  const guess = names.find((n) => {
    const length = n.split(' ').length;
    return didYouMean(words.slice(0, length).join(' '), [n]) !== '';
  });
  const written = words.slice(0, 3).join(' ') || 'this line';
  const hint = guess ? ` Did you mean ${guess}?` : '';
  const list =
    own.length > 0
      ? ` ${integration} has: ${own.map((n) => n.slice(integration.length + 1)).join(', ')}.`
      : ` There are actions of ${[...new Set(names.map((n) => n.split(' ')[0]))].join(', ')}.`;
  return `There is no action ${JSON.stringify(written)}.${hint}${list}`;
}

function readWords(
  action: ActionDefinition,
  words: readonly Word[],
  language: Language,
  fields: Map<string, Field>,
  report: Report,
): void {
  const properties = propertiesOf(action.input);
  const positional = [...(action.positional ?? [])];
  let flagsEnded = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as Word;
    if (word.text === '--' && !word.quoted && !flagsEnded) {
      flagsEnded = true;
      continue;
    }
    const flag = flagsEnded ? undefined : flagOf(word);
    if (!flag) {
      const name = positional.shift();
      if (name) addWord(name, word, language, fields, report);
      else
        report('too-many-words', ['run'], `${action.name} has no place for this word. ${usage(action)}`, word.offset);
      continue;
    }
    const name = propertyOfFlag(flag.name);
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (!schema) {
      const flags = Object.keys(properties).map(flagOfProperty);
      const hint = didYouMean(`--${flag.name}`, flags);
      report(
        'unknown-flag',
        ['run'],
        `${action.name} has no flag --${flag.name}.${hint} ${usage(action)}`,
        word.offset,
      );
      // What follows it is likely its value.
      if (!flag.value && words[i + 1] && !flagOf(words[i + 1] as Word)) i += 1;
    } else if (flag.value) addWord(name, flag.value, language, fields, report, schema);
    else if (isSwitch(schema)) addConstant(name, true, word.offset, fields, report);
    else if (words[i + 1]) addWord(name, words[++i] as Word, language, fields, report, schema);
    else report('missing-value', ['run'], `--${flag.name} needs a value: --${flag.name} VALUE.`, word.offset);
  }
}

function flagOf(word: Word): { name: string; value?: Word } | undefined {
  const [first] = word.segments;
  if (word.quoted || !first || !('text' in first)) return undefined;
  const found = /^--([a-z][a-z0-9-]*)(=?)/.exec(first.text);
  if (!found) return undefined;
  const [all, name = '', equals] = found;
  return equals ? { name, value: dropPrefix(word, all.length) } : { name };
}

/** A flag that is true by being there, and never takes the next word. */
function isSwitch(schema: TSchema): boolean {
  const types = typesOf(schema);
  return types.size === 1 && types.has('boolean');
}

function addWord(
  name: string,
  word: Word,
  language: Language,
  fields: Map<string, Field>,
  report: Report,
  schema?: TSchema,
): void {
  const template = tryExpression(() => language.segments(word.segments), ['run'], report);
  if (!template) return;
  const field = fields.get(name);
  if (field && schema && typesOf(schema).has('array')) field.templates.push(template);
  else if (field) report('given-twice', ['run'], `${flagOfProperty(name)} is given twice.`, word.offset);
  else fields.set(name, { templates: [template], fromWords: true, path: ['run'], offset: word.offset });
}

function addConstant(name: string, value: Json, offset: number, fields: Map<string, Field>, report: Report): void {
  if (fields.has(name)) report('given-twice', ['run'], `${flagOfProperty(name)} is given twice.`, offset);
  else fields.set(name, { templates: [constant(value)], fromWords: false, path: ['run'], offset });
}

function readWith(
  action: ActionDefinition,
  name: string,
  value: Json,
  language: Language,
  fields: Map<string, Field>,
  report: Report,
): void {
  const path = ['with', name];
  const names = Object.keys(propertiesOf(action.input));
  if (!names.includes(name)) {
    const hint = didYouMean(name, names);
    report('unknown-flag', path, `${action.name} has no input ${name}.${hint} ${usage(action)}`);
    return;
  }
  if (fields.has(name)) {
    report('given-twice', path, `${name} is given both in run and in with. Keep one of them.`);
    return;
  }
  const template = tryExpression(() => language.template(value), path, report);
  if (template) fields.set(name, { templates: [template], fromWords: false, path, offset: 0 });
}

/** `kubernetes scale KIND NAMESPACE NAME --replicas VALUE [--max VALUE]`. */
export function usage(action: ActionDefinition): string {
  const required = new Set((action.input as { required?: string[] }).required ?? []);
  const positional = action.positional ?? [];
  const words = positional.map((name) => (required.has(name) ? name.toUpperCase() : `[${name.toUpperCase()}]`));
  const flags = Object.entries(propertiesOf(action.input))
    .filter(([name]) => !positional.includes(name))
    .map(([name, schema]) => {
      const flag = isSwitch(schema) ? flagOfProperty(name) : `${flagOfProperty(name)} VALUE`;
      return required.has(name) ? flag : `[${flag}]`;
    });
  return `Write: ${[action.name, ...words, ...flags].join(' ')}`;
}

/** What can be said of the input before the placeholders are filled in. */
function checkFields(action: ActionDefinition, fields: ReadonlyMap<string, Field>, report: Report): void {
  const properties = propertiesOf(action.input);
  for (const name of (action.input as { required?: string[] }).required ?? [])
    if (!fields.has(name) && (properties[name] as { default?: Json }).default === undefined)
      report('missing-input', ['run'], `${action.name} needs ${describeInput(action, name)}. ${usage(action)}`);
  for (const [name, field] of fields) {
    const schema = properties[name];
    if (schema) checkField(name, schema, field, report);
  }
}

function describeInput(action: ActionDefinition, name: string): string {
  return action.positional?.includes(name) ? `the word ${name.toUpperCase()}` : flagOfProperty(name);
}

function checkField(name: string, schema: TSchema, field: Field, report: Report): void {
  for (const template of field.templates) {
    if (template.constant) continue;
    const mismatch = typeMismatch(template.type, schema, field.fromWords);
    if (mismatch) report('wrong-input', field.path, `The value of ${name} ${mismatch}.`, field.offset);
  }
  if (!field.templates.every((t) => t.constant)) return;
  const value = constantOf(field, schema);
  for (const wrong of validate(schema, value, [name])) report('wrong-input', field.path, wrong.sentence, field.offset);
}

/** Constant templates keep their value; it is read back without evaluating anything. */
function constantOf(field: Field, schema: TSchema): Json {
  return shape(
    field,
    field.templates.map((t) => t.value ?? null),
    schema,
  );
}

function shape(field: Field, values: readonly Json[], schema: TSchema): Json {
  if (!field.fromWords) return values[0] ?? null;
  if (values.length > 1) return values.map((v) => coerce(v, itemsOf(schema)));
  return coerce(values[0] ?? null, schema);
}

function bind(action: ActionDefinition, source: string, fields: ReadonlyMap<string, Field>): CompiledCall {
  const properties = propertiesOf(action.input);
  const templates = [...fields.values()].flatMap((f) => f.templates);
  return {
    action,
    source,
    facts: [...new Set(templates.flatMap((t) => t.facts))],
    variables: [...new Set(templates.flatMap((t) => t.variables))],
    resolve: async (scope, reader) => {
      const readings: FactReading[] = [];
      const input: ActionInput = {};
      for (const [name, field] of fields) {
        const values: Json[] = [];
        for (const template of field.templates) {
          const evaluation = await template.evaluate(scope, reader);
          for (const reading of evaluation.readings) if (!readings.includes(reading)) readings.push(reading);
          if (!evaluation.ok) return { ok: false, error: evaluation.error, readings };
          values.push(evaluation.value);
        }
        input[name] = shape(field, values, properties[name] ?? {});
      }
      const complete = withDefaults(action, input);
      const [wrong] = validate(action.input, complete);
      if (!wrong) return { ok: true, input: complete, readings };
      const message = `${action.name} cannot be called so: ${wrong.sentence}`;
      return { ok: false, error: new CatalystError('InvalidResource', message, { hint: usage(action) }), readings };
    },
  };
}
