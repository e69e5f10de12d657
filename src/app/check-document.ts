/** Checks a YAML document against a schema as a whole, every problem with its line. */
import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import type { TSchema } from 'typebox';
import { type Document, isMap, isPair, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { Problem } from '../catalog/resource.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { type Complaint, complaintOf } from './schema-problems.ts';

/** Nobody writes a configuration of a mebibyte; a larger file is another file. */
const maxBytes = 1024 * 1024;

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
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2', stringKeys: true });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problem = (rule: string, sentence: string, offset: number): Problem => ({
    severity: 'error',
    rule,
    sentence,
    source: 'configuration',
    file,
    ...at(offset),
  });
  if (document.errors.length > 0)
    return {
      problems: document.errors.map((e) => problem('yaml', `The YAML cannot be read: ${messageOf(e)}.`, e.pos[0])),
    };
  let value: unknown;
  try {
    // A hundred aliases are more than anybody writes, and far fewer than it takes to fill the memory.
    value = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    return { problems: [problem('yaml', `The YAML cannot be read: ${messageOf(error)}.`, 0)] };
  }
  const validate = new Ajv({ allErrors: true, useDefaults: true, strict: false, verbose: true }).compile(schema);
  const complaints = validate(value)
    ? crossChecks(value as T)
    : (validate.errors ?? []).map((error) =>
        complaintOf(error, error.data, Object.keys((error.parentSchema?.properties as object | undefined) ?? {})),
      );
  if (complaints.length === 0) return { config: value as T, problems: [] };
  return {
    problems: complaints.map((c) => problem('configuration', c.sentence, offsetOf(document, c.path, c.atKey))),
  };
}

/** Where in the text a path is; the nearest part of it that is there. */
function offsetOf(document: Document.Parsed, path: readonly (string | number)[], atKey: boolean): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true) as Node | undefined;
    if (!node) continue;
    const key = atKey || depth < path.length ? keyOffset(document, path.slice(0, depth)) : undefined;
    const offset = key ?? node.range?.[0];
    if (offset !== undefined) return offset;
  }
  return 0;
}

function keyOffset(document: Document.Parsed, path: readonly (string | number)[]): number | undefined {
  const parent = document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1));
  return pair && isScalar(pair.key) ? pair.key.range?.[0] : undefined;
}
