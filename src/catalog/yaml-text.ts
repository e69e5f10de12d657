/** One YAML document: its value as JSON, and where each part of it stands. */
import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
} from 'yaml';
import type { Position, Positions } from './positions.ts';
import type { Path } from './schema.ts';

export interface YamlProblem extends Position {
  rule: string;
  sentence: string;
}

export interface YamlDocument {
  value: unknown;
  problems: YamlProblem[];
  positions: Positions;
}

/** Deepest nesting; a runbook with a Kubernetes patch in it has some twelve levels. */
const maxDepth = 64;
/** How often aliases may be followed in all: enough to share a few snippets, too little to multiply. */
const maxAliasCount = 50;

/** Parses one document. Throws RangeError for nesting beyond the parser's own stack. */
export function parseYaml(text: string): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    schema: 'core',
    // Looked for below: the library's own search is quadratic in the number of keys.
    uniqueKeys: false,
    keepSourceTokens: false,
  });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const positions = positionsOf(document, text, at);
  const syntax = [...document.errors, ...document.warnings].map((e) => ({
    rule: 'yaml-syntax',
    sentence: `This is not valid YAML here: ${e.message.replace('"quote', 'quote').replace(/\.$/, '')}.${hint(e.message)}`,
    ...at(e.pos[0]),
  }));
  // The first mistake is the one to mend; those after it mostly follow from it.
  if (syntax.length > 0) return { value: undefined, problems: syntax.slice(0, 1), positions };
  const structure = checkStructure(document, at);
  if (structure.length > 0) return { value: undefined, problems: structure.slice(0, 10), positions };
  try {
    return { value: document.toJS({ maxAliasCount }), problems: [], positions };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    const sentence = 'The document uses too many aliases. Write the values out.';
    return { value: undefined, problems: [{ rule: 'too-many-aliases', sentence, line: 1, column: 1 }], positions };
  }
}

/** What to do about the mistakes that runbooks invite, because commands and CEL are full of quotes and colons. */
function hint(message: string): string {
  if (message.startsWith('Nested mappings are not allowed'))
    return ' A text that holds a colon and a blank must stand in quotes, or on the lines after >-.';
  if (message.startsWith('Unexpected scalar at node end'))
    return ' A text that begins with a quote must end with it: put all of it in the other kind of quotes, or on the lines after >-.';
  if (message.startsWith('Missing closing')) return ' A quote opened before this place is never closed.';
  return '';
}

/** Everything a JSON value cannot hold, duplicate keys, and nesting that is too deep. */
function checkStructure(document: Document, at: (offset: number) => Position): YamlProblem[] {
  const problems: YamlProblem[] = [];
  const complain = (rule: string, sentence: string, node: unknown) =>
    problems.push({ rule, sentence, ...at(startOf(node)) });
  const stack: { node: unknown; depth: number }[] = [{ node: document.contents, depth: 0 }];
  while (stack.length > 0) {
    const { node, depth } = stack.pop() as { node: unknown; depth: number };
    if (depth > maxDepth) {
      complain('too-deep', `The document is nested deeper than ${maxDepth} levels.`, node);
      return problems;
    }
    if (isScalar(node) && typeof node.value === 'number' && !Number.isFinite(node.value))
      complain('wrong-value', `${String(node.source)} is not a number that can be used.`, node);
    if (isSeq(node)) for (const item of node.items) stack.push({ node: item, depth: depth + 1 });
    if (!isMap(node)) continue;
    checkKeys(node.items, complain);
    for (const pair of node.items) stack.push({ node: pair.value, depth: depth + 1 });
  }
  return problems.sort((a, b) => a.line - b.line || a.column - b.column);
}

function checkKeys(pairs: readonly Pair[], complain: (rule: string, sentence: string, node: unknown) => void): void {
  const seen = new Set<string>();
  for (const { key } of pairs) {
    if (!isScalar(key) || (typeof key.value !== 'string' && typeof key.value !== 'number')) {
      complain('yaml-syntax', 'A key must be a text. Put it in quotes.', key);
      continue;
    }
    const name = String(key.value);
    if (seen.has(name)) complain('duplicate-key', `The key ${name} is there twice. Keep one of them.`, key);
    seen.add(name);
  }
}

function startOf(node: unknown): number {
  return (node as Node | null | undefined)?.range?.[0] ?? 0;
}

function positionsOf(document: Document, text: string, at: (offset: number) => Position): Positions {
  const start = () => firstOf(document.contents);
  return {
    value: (path, offset) => {
      const { node, pair } = find(document, path);
      if (node === null || node === undefined) return at(pair ? startOf(pair.key) : start());
      if (offset === undefined || !isScalar(node) || typeof node.value !== 'string') return at(firstOf(node));
      return at(offsetIn(text, node as Node & { value: string; type?: string }, offset));
    },
    key: (path) => {
      const { node, pair } = find(document, path);
      return at(pair ? startOf(pair.key) : (firstOf(node) ?? start()));
    },
  };
}

/** Where a node's first character stands: for a map, that of its first key. */
function firstOf(node: unknown): number {
  if (isMap(node) && !node.flow && isPair(node.items[0])) return startOf(node.items[0].key);
  return startOf(node);
}

/** The node at a path, or the nearest one around it, with the pair it is the value of. */
function find(document: Document, path: Path): { node: unknown; pair?: Pair } {
  let node: unknown = document.contents;
  let pair: Pair | undefined;
  for (const step of path) {
    const inside: unknown = isAlias(node) ? node.resolve(document) : node;
    if (isMap(inside)) {
      const next: Pair | undefined = inside.items.find((p) => isScalar(p.key) && String(p.key.value) === String(step));
      if (!next) break;
      pair = next;
      node = next.value;
    } else if (isSeq(inside) && typeof step === 'number' && step < inside.items.length) {
      pair = undefined;
      node = inside.items[step];
    } else break;
  }
  return pair ? { node, pair } : { node };
}

/**
 * Where a character of a text value stands in the file. Quoting, folding and indenting change only blanks and escapes,
 * so the characters that are neither are counted.
 */
function offsetIn(text: string, node: Node & { value: string; type?: string }, offset: number): number {
  const [start = 0, end = text.length] = node.range ?? [];
  let from = start;
  if (node.type?.startsWith('QUOTE')) from += 1;
  else if (node.type?.startsWith('BLOCK')) from = text.indexOf('\n', start) + 1;
  const skip = node.value.slice(0, offset).replaceAll(/\s/g, '').length;
  let seen = 0;
  for (let i = from; i < end; i++) {
    if (/\s/.test(text[i] ?? '')) continue;
    const escaped =
      (node.type === 'QUOTE_DOUBLE' && text[i] === '\\') || (node.type === 'QUOTE_SINGLE' && text.startsWith("''", i));
    if (seen === skip) return i;
    seen += 1;
    if (escaped) i += 1;
  }
  return Math.max(start, end - 1);
}
