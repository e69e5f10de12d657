/** One YAML document: its value as JSON, and where each part of it stands. */
import {
  CORE_SCHEMA,
  constructFromEvents,
  EVENT_ID,
  type Event,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import { messageOf } from '../errors.ts';
import type { Position, Positions } from './positions.ts';
import type { Path } from './schema.ts';

export interface YamlProblem extends Position {
  rule: string;
  sentence: string;
}

export interface YamlDocument {
  /** Undefined when there are problems, and for a text without any document. */
  value: unknown;
  problems: YamlProblem[];
  positions: Positions;
}

/** Deepest nesting; a runbook with a Kubernetes patch in it has some twelve levels. */
const maxDepth = 64;
/** How often aliases may be followed in all: enough to share a few snippets, too little to multiply. */
const maxFollowed = 50;

/** Parses one document of YAML 1.2. Never throws. */
export function parseYaml(text: string): YamlDocument {
  const at = placesIn(text);
  let root: Node | undefined;
  const refused = (problems: YamlProblem[]): YamlDocument => ({
    value: undefined,
    problems,
    positions: positionsOf(root, text, at),
  });
  try {
    const events = parseEvents(text, { maxDepth });
    const tree = treeOf(events, text, at);
    root = tree.root;
    if (tree.problems.length > 0) return refused(tree.problems.slice(0, 10));
    const [value, ...more] = constructFromEvents(events, { source: text, schema: CORE_SCHEMA });
    if (more.length > 0) return refused([secondDocument(text, at)]);
    const positions = positionsOf(root, text, at);
    const endless = pathToEndless(value);
    if (!endless) return { value, problems: [], positions };
    const sentence = `${endless.number} is not a number that can be used.`;
    return refused([{ rule: 'wrong-value', sentence, ...positions.value(endless.path) }]);
  } catch (error) {
    // The parser is not to be trusted with its own errors alone: what is read may be hostile.
    if (error instanceof YAMLException) return refused([syntaxProblem(error)]);
    const sentence = `The document cannot be read: ${messageOf(error)}.`;
    return refused([{ rule: 'yaml-syntax', sentence, line: 1, column: 1 }]);
  }
}

function syntaxProblem({ reason, mark }: YAMLException): YamlProblem {
  const place = { line: (mark?.line ?? 0) + 1, column: (mark?.column ?? 0) + 1 };
  if (reason.startsWith('nesting exceeded'))
    return { rule: 'too-deep', sentence: `The document is nested deeper than ${maxDepth} levels.`, ...place };
  const found = mark?.buffer[mark.position] ?? '';
  return { rule: 'yaml-syntax', sentence: `This is not valid YAML here: ${reason}.${hint(reason, found)}`, ...place };
}

/** What to do about the mistakes that runbooks invite, because commands and CEL are full of quotes and colons. */
function hint(reason: string, found: string): string {
  if (/within a (single|double) quoted scalar/.test(reason))
    return ' A quote opened before this place is never closed.';
  if (/within a flow collection/.test(reason)) return ' A bracket opened before this place is never closed.';
  if (/^deficient indentation/.test(reason)) return ' What takes several lines is indented further than its key.';
  if (/^unknown escape/.test(reason)) return ' Between double quotes a backslash is written as two.';
  if (!/^bad indentation of a mapping|^end of the stream or a document/.test(reason)) return '';
  if (found === ':')
    return ' A text that holds a colon and a blank must stand in quotes, or on the lines after >-; and keys of one map begin in one column.';
  return ' A text that begins with a quote must end with it: put all of it in the other kind of quotes, or on the lines after >-.';
}

type PlaceOf = (offset: number) => Position;

/** Positions by offset; the lines are counted when they are first asked for. */
function placesIn(text: string): PlaceOf {
  let starts: number[] | undefined;
  return (offset) => {
    starts ??= [0, ...Array.from(text.matchAll(/\r\n|\n|\r/g), (end) => end.index + end[0].length)];
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  };
}

function secondDocument(text: string, at: PlaceOf): YamlProblem {
  const marker = text.search(/^---/m);
  return { rule: 'yaml-syntax', sentence: 'A second document begins here. Keep one.', ...at(Math.max(0, marker)) };
}

/** A part of the document, as far as it is needed to say where things stand. */
interface Node {
  /** Offset of its first character, without what is put before it (`&anchor`, `!!tag`); -1 where nothing stands. */
  start: number;
  /** What a text is written as; undefined for maps, lists and aliases. */
  scalar?: ScalarEvent;
  /** Of a map, in the order of the text. */
  pairs?: Pair[];
  /** Of a list. */
  items?: Node[];
  /** Of an alias. */
  target?: Node;
  /** How often an alias is followed in reading this part whole. */
  followed: number;
}

interface Pair {
  name: string;
  key: Node;
  value: Node;
}

interface Open {
  node: Node;
  /** The keys of a map so far. */
  names: Set<string>;
  /** The key whose value is awaited. */
  key?: Node;
}

/** The document's parts, and everything about them that a JSON value cannot hold. */
function treeOf(events: readonly Event[], text: string, at: PlaceOf): { root?: Node; problems: YamlProblem[] } {
  const problems: YamlProblem[] = [];
  const complain = (rule: string, sentence: string, offset: number) =>
    problems.push({ rule, sentence, ...at(Math.max(0, offset)) });
  const open: Open[] = [];
  const anchors = new Map<string, Node>();
  let root: Node | undefined;

  const put = (node: Node): void => {
    const around = open.at(-1);
    if (!around) root ??= node;
    else if (around.node.items) around.node.items.push(node);
    else if (around.key) {
      around.node.pairs?.push({ name: nameOf(around.key, text), key: around.key, value: node });
      delete around.key;
    } else {
      around.key = node;
      checkKey(node, around);
    }
  };
  const checkKey = (key: Node, { node: map, names }: Open): void => {
    if (!isTextKey(key, text)) {
      complain('yaml-syntax', 'A key must be a text. Put it in quotes.', key.start < 0 ? map.start : key.start);
      return;
    }
    const name = nameOf(key, text);
    if (names.has(name)) complain('duplicate-key', `The key ${name} is there twice. Keep one of them.`, key.start);
    names.add(name);
  };
  const close = (): void => {
    const node = open.pop()?.node;
    if (!node) return;
    for (const item of node.items ?? []) node.followed += item.followed;
    for (const { value } of node.pairs ?? []) node.followed += value.followed;
    put(node);
  };

  for (const event of events) {
    switch (event.type) {
      case EVENT_ID.MAPPING:
      case EVENT_ID.SEQUENCE: {
        const inside = event.type === EVENT_ID.MAPPING ? { pairs: [] } : { items: [] };
        const node: Node = { start: event.start, followed: 0, ...inside };
        remember(anchors, event, node, text);
        open.push({ node, names: new Set() });
        break;
      }
      case EVENT_ID.SCALAR: {
        const node: Node = { start: startOf(event, text), followed: 0, scalar: event };
        remember(anchors, event, node, text);
        put(node);
        break;
      }
      case EVENT_ID.ALIAS: {
        const name = text.slice(event.anchorStart, event.anchorEnd);
        const target = anchors.get(name);
        if (!target) complain('yaml-syntax', `There is no &${name} before this place.`, event.anchorStart - 1);
        else if (open.some(({ node }) => node === target))
          complain('yaml-syntax', `This stands inside of what &${name} names.`, event.anchorStart - 1);
        const followed = 1 + (target?.followed ?? 0);
        put({ start: event.anchorStart - 1, followed, ...(target ? { target } : {}) });
        break;
      }
      case EVENT_ID.POP:
        close();
    }
  }
  if ((root?.followed ?? 0) > maxFollowed && problems.length === 0)
    complain('too-many-aliases', 'The document uses too many aliases. Write the values out.', 0);
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { ...(root ? { root } : {}), problems };
}

function remember(anchors: Map<string, Node>, event: Anchored, node: Node, text: string): void {
  if (event.anchorStart >= 0) anchors.set(text.slice(event.anchorStart, event.anchorEnd), node);
}

type Anchored = { anchorStart: number; anchorEnd: number };

/** Offset of a quoted text's quote and of a block's `|` or `>`, which the events leave out. */
function startOf({ style, valueStart }: ScalarEvent, text: string): number {
  if (style === SCALAR_STYLE.SINGLE_QUOTED || style === SCALAR_STYLE.DOUBLE_QUOTED) return valueStart - 1;
  if (style === SCALAR_STYLE.PLAIN) return valueStart;
  const before = text.lastIndexOf('\n', valueStart - 2) + 1;
  const header = text.slice(before, valueStart).search(/[|>][-+1-9]*[ \t]*(#.*)?[\r\n]*$/);
  return header < 0 ? valueStart : before + header;
}

/** Words of YAML's core schema that are no texts (numbers are: a port is a good key). */
const notTexts = /^(~|null|Null|NULL|true|True|TRUE|false|False|FALSE|)$/;

function isTextKey({ scalar }: Node, text: string): boolean {
  if (!scalar) return false;
  return scalar.style !== SCALAR_STYLE.PLAIN || scalar.tagStart >= 0 || !notTexts.test(getScalarValue(text, scalar));
}

function nameOf({ scalar }: Node, text: string): string {
  return scalar ? getScalarValue(text, scalar) : '';
}

/** The first number that JSON does not have, `.inf` and `.nan`. */
function pathToEndless(value: unknown): { path: Path; number: number } | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : { path: [], number: value };
  if (typeof value !== 'object' || value === null) return undefined;
  const steps: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  for (const [step, inside] of steps) {
    const found = pathToEndless(inside);
    if (found) return { ...found, path: [step, ...found.path] };
  }
  return undefined;
}

function positionsOf(root: Node | undefined, text: string, at: PlaceOf): Positions {
  const start = () => at(Math.max(0, root?.start ?? 0));
  return {
    value: (path, offset) => {
      const { node, pair } = find(root, path);
      if (!node || node.start < 0) return pair ? at(pair.key.start) : start();
      return at(offset === undefined || !node.scalar ? node.start : offsetIn(text, node.scalar, offset));
    },
    key: (path) => {
      const { node, pair } = find(root, path);
      if (pair) return at(pair.key.start);
      return node && node.start >= 0 ? at(node.start) : start();
    },
  };
}

/** The part at a path, or the nearest one around it, with the pair it is the value of. */
function find(root: Node | undefined, path: Path): { node?: Node; pair?: Pair } {
  let node = root;
  let pair: Pair | undefined;
  for (const step of path) {
    const inside: Node | undefined = node?.target ?? node;
    const next: Pair | undefined = inside?.pairs?.find(({ name }) => name === String(step));
    const item: Node | undefined = typeof step === 'number' ? inside?.items?.[step] : undefined;
    if (!next && !item) break;
    pair = next;
    node = next?.value ?? item;
  }
  return { ...(node ? { node } : {}), ...(pair ? { pair } : {}) };
}

/**
 * Where a character of a text value stands in the file. Quoting, folding and indenting change only blanks and escapes,
 * so the characters that are neither are counted.
 */
function offsetIn(text: string, scalar: ScalarEvent, offset: number): number {
  const { valueStart, valueEnd, style } = scalar;
  const skip = getScalarValue(text, scalar).slice(0, offset).replaceAll(/\s/g, '').length;
  let seen = 0;
  for (let i = valueStart; i < valueEnd; i++) {
    if (/\s/.test(text[i] ?? '')) continue;
    const escaped =
      (style === SCALAR_STYLE.DOUBLE_QUOTED && text[i] === '\\') ||
      (style === SCALAR_STYLE.SINGLE_QUOTED && text.startsWith("''", i));
    if (seen === skip) return i;
    seen += 1;
    if (escaped) i += 1;
  }
  return Math.max(valueStart, valueEnd - 1);
}
