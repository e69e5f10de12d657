/** Checks a YAML document against a schema as a whole, every problem with its line. */
import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import type { TSchema } from 'typebox';
import type { Position } from '../catalog/positions.ts';
import type { Problem } from '../catalog/resource.ts';
import { parseYaml } from '../catalog/yaml-text.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { type Complaint, complaintOf } from './schema-problems.ts';

/** Nobody writes a configuration of a mebibyte; a larger file is another file. */
const maxBytes = 1024 * 1024;

/** A schema of ours is right (its tests say so), and is used once: optimizing what is compiled takes longer than it saves. */
const ajvOptions = {
  allErrors: true,
  useDefaults: true,
  strict: false,
  verbose: true,
  validateSchema: false,
  code: { optimize: false },
} as const;

export async function readText(path: string): Promise<string> {
  try {
    const text = await readFile(path);
    if (text.length > maxBytes)
      throw new CatalystError('InvalidResource', `${path} is larger than a configuration can be (${maxBytes} bytes).`);
    return text.toString('utf8');
  } catch (error) {
    if (error instanceof CatalystError) throw error;
    throw new CatalystError('InvalidResource', `${path} cannot be read: ${messageOf(error)}.`, {
      cause: error,
      hint: 'Check the path and who may read it.',
    });
  }
}

/** Pure: the document with its defaults filled in, or everything that is wrong; `crossChecks` says what holds between fields. */
export function checkDocument<T>(
  text: string,
  file: string,
  schema: TSchema,
  crossChecks: (value: T) => readonly Complaint[],
): { config: T; problems: [] } | { problems: Problem[] } {
  const parsed = parseYaml(text);
  const problem = (rule: string, sentence: string, at: Position): Problem => ({
    severity: 'error',
    rule,
    sentence,
    source: 'configuration',
    file,
    line: at.line,
    column: at.column,
  });
  if (parsed.problems.length > 0) return { problems: parsed.problems.map((p) => problem(p.rule, p.sentence, p)) };
  const value = parsed.value ?? {};
  const validate = new Ajv(ajvOptions).compile(schema);
  const complaints = validate(value)
    ? crossChecks(value as T)
    : (validate.errors ?? []).map((error) =>
        complaintOf(error, error.data, Object.keys((error.parentSchema?.properties as object | undefined) ?? {})),
      );
  if (complaints.length === 0) return { config: value as T, problems: [] };
  const { key, value: valueAt } = parsed.positions;
  return {
    problems: complaints.map((c) => problem('configuration', c.sentence, (c.atKey ? key : valueAt)(c.path))),
  };
}
