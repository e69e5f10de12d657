/**
 * Documents: YAML text to Resources, each with where it came from, and everything that is wrong with line and column.
 * Each document stands alone: a bad one never takes its neighbours down. What is read may be hostile.
 */
import { createHash } from 'node:crypto';
import Type, { type TSchema } from 'typebox';
import { didYouMean } from '../check/nearest.ts';
import { kinds } from './kinds.ts';
import { onLine, type Position, type Positions } from './positions.ts';
import { apiVersion, type Kind, type Metadata, type Problem, type Resource } from './resource.ts';
import { type Path, validate } from './schema.ts';
import { parseYaml, type YamlProblem } from './yaml-text.ts';

/** Where a text comes from. */
export interface Origin {
  source: string;
  organization?: string;
  revision?: string;
  file: string;
}

export interface Loaded {
  resources: Resource[];
  problems: Problem[];
  /** Where the fields of each resource stand. */
  positions: ReadonlyMap<Resource, Positions>;
}

/** Largest file, bytes: the largest real runbook is some 20 KiB, and a cluster takes no larger object either. */
export const maxFileBytes = 1024 * 1024;
/** Most documents in one file. */
const maxDocuments = 500;

/** Loads every document of a text. Never throws. */
export function loadDocuments(text: string | Uint8Array, origin: Origin): Loaded {
  const positions = new Map<Resource, Positions>();
  const loaded: Loaded = { resources: [], problems: [], positions };
  const decoded = decode(text);
  if ('sentence' in decoded) {
    loaded.problems.push({ ...place(origin), ...decoded, severity: 'error', line: 1, column: 1 });
    return loaded;
  }
  const parts = splitDocuments(decoded.text);
  if (parts.length > maxDocuments) {
    const sentence = `The file holds ${parts.length} documents; at most ${maxDocuments} are read. Split it.`;
    loaded.problems.push({ ...place(origin), severity: 'error', rule: 'too-large', sentence, line: 1, column: 1 });
    return loaded;
  }
  for (const part of parts) {
    const one = loadOne(part, origin);
    loaded.problems.push(...one.problems);
    if (!one.resource) continue;
    loaded.resources.push(one.resource);
    positions.set(one.resource, one.positions);
  }
  return loaded;
}

/** Loads an object that is already parsed, as the cluster hands it out: its status and server's metadata are left out. */
export function loadObject(object: unknown, origin: Origin): { resource?: Resource; problems: Problem[] } {
  const { status: _status, ...rest } = isMap(object) ? object : {};
  const metadata = isMap(rest.metadata) ? rest.metadata : {};
  const declared = Object.entries(metadata).filter(([key]) => metadataFields.has(key));
  const value = { ...rest, metadata: Object.fromEntries(declared) };
  const digest = sha256(JSON.stringify(value));
  return check(value, origin, { digest, line: 1 }, onLine(1));
}

function place({ source, file }: Origin) {
  return { source, file };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function decode(text: string | Uint8Array): { text: string } | { rule: string; sentence: string } {
  const size = typeof text === 'string' ? Buffer.byteLength(text) : text.byteLength;
  if (size > maxFileBytes)
    return { rule: 'too-large', sentence: `The file has ${size} bytes; at most ${maxFileBytes} are read. Split it.` };
  if (typeof text === 'string') return { text: text.replace(/^\uFEFF/, '') };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(text) };
  } catch {
    return { rule: 'not-utf8', sentence: 'The file is not UTF-8 text. Save it as UTF-8.' };
  }
}

interface Part {
  text: string;
  /** Lines before it in the file. */
  linesBefore: number;
}

/**
 * Splits at the lines that mark a document's end before anything is parsed, so that a quote left open in one document
 * does not swallow the next.
 */
function splitDocuments(text: string): Part[] {
  const parts: Part[] = [];
  let lines: string[] = [];
  let linesBefore = 0;
  const all = text.split(/\r\n|\n|\r/);
  const close = (next: number) => {
    if (lines.some((line) => !/^(\s*(#.*)?|%.*)$/.test(line)))
      parts.push({ text: `${lines.join('\n')}\n`, linesBefore });
    lines = [];
    linesBefore = next;
  };
  all.forEach((line, i) => {
    if (/^---(\s|$)/.test(line)) {
      close(i);
      // What follows on the same line belongs to the document, at the column where it stands.
      lines.push(`   ${line.slice(3)}`);
    } else if (/^\.\.\.(\s|$)/.test(line)) close(i + 1);
    else lines.push(line);
  });
  close(all.length);
  return parts;
}

function loadOne(part: Part, origin: Origin): { resource?: Resource; positions: Positions; problems: Problem[] } {
  const shift = (at: Position): Position => ({ line: at.line + part.linesBefore, column: at.column });
  const wrong = (p: YamlProblem): Problem => ({ ...place(origin), severity: 'error', ...p, ...shift(p) });
  const parsed = parseYaml(part.text);
  const positions: Positions = {
    value: (path, offset) => shift(parsed.positions.value(path, offset)),
    key: (path) => shift(parsed.positions.key(path)),
  };
  if (parsed.problems.length > 0) return { positions, problems: parsed.problems.map(wrong) };
  const identity = { digest: sha256(part.text.trim()), line: positions.key([]).line };
  return { ...check(parsed.value, origin, identity, positions), positions };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const metadataFields = new Set(['name', 'namespace', 'labels', 'annotations']);

const Texts = Type.Record(Type.String(), Type.String({ maxLength: 262144 }), { maxProperties: 256 });
const MetadataSchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253, examples: ['openbao-sealed'] }),
    namespace: Type.Optional(
      Type.String({ pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63, examples: ['catalyst-system'] }),
    ),
    labels: Type.Optional(Texts),
    annotations: Type.Optional(Texts),
  },
  { additionalProperties: false },
);

/** The whole document's schema, by kind. */
const schemas = new Map<string, TSchema>(
  kinds.map(({ kind, spec }) => [
    kind,
    Type.Object(
      { apiVersion: Type.Literal(apiVersion), kind: Type.Literal(kind), metadata: MetadataSchema, spec },
      { additionalProperties: false },
    ),
  ]),
);

const checks = new Map(kinds.map((kind) => [kind.kind, kind.check?.bind(kind)]));

function check(
  value: unknown,
  origin: Origin,
  identity: { digest: string; line: number },
  positions: Positions,
): { resource?: Resource; problems: Problem[] } {
  const name = isMap(value) && isMap(value.metadata) ? value.metadata.name : undefined;
  const kind = isMap(value) ? value.kind : undefined;
  const named = typeof name === 'string' && typeof kind === 'string' ? { resource: `${kind}/${name}` } : {};
  const problem = (severity: Problem['severity'], rule: string, sentence: string, at: Position): Problem => ({
    ...place(origin),
    severity,
    rule,
    sentence,
    ...at,
    ...named,
  });
  const header = checkHeader(value);
  if (header)
    return { problems: [problem(header.severity, header.rule, header.sentence, positions.value(header.path))] };
  const document = value as { apiVersion: string; kind: string; metadata: Metadata; spec: unknown };
  const schema = schemas.get(document.kind) ?? {};
  const problems = validate(schema, document).map((p) =>
    problem('error', p.rule, p.sentence, p.atKey ? positions.key(p.path) : positions.value(p.path)),
  );
  if (problems.length > 0) return { problems };
  const unsaid = checks.get(document.kind)?.(document.spec as never) ?? [];
  if (unsaid.length > 0)
    return { problems: unsaid.map((p) => problem('error', p.rule, p.sentence, positions.value(p.path))) };
  const { source, organization, revision, file } = origin;
  const provenance = {
    source,
    file,
    ...identity,
    ...(organization === undefined ? {} : { organization }),
    ...(revision === undefined ? {} : { revision }),
  };
  return { resource: { ...document, provenance }, problems: [] };
}

interface HeaderProblem {
  severity: Problem['severity'];
  rule: string;
  sentence: string;
  path: Path;
}

/** Whose document is it? Others' are left alone, with a word about it. */
function checkHeader(value: unknown): HeaderProblem | undefined {
  const error = (rule: string, sentence: string, path: Path): HeaderProblem => ({
    severity: 'error',
    rule,
    sentence,
    path,
  });
  if (!isMap(value))
    return error('not-a-resource', `A document begins with apiVersion: ${apiVersion} and kind: ${kindNames()}.`, []);
  const { apiVersion: version, kind } = value;
  if (typeof version !== 'string')
    return error('not-a-resource', `apiVersion is missing. Write apiVersion: ${apiVersion}.`, []);
  if (version !== apiVersion) {
    const [group = ''] = apiVersion.split('/');
    if (version.startsWith(`${group}/`) || didYouMean(version, [apiVersion]))
      return error('unknown-version', `There is no ${version}. Write apiVersion: ${apiVersion}.`, ['apiVersion']);
    const sentence = `${version} is not one of Catalyst's documents, and is left out.`;
    return { severity: 'warning', rule: 'foreign-document', sentence, path: ['apiVersion'] };
  }
  if (typeof kind === 'string' && schemas.has(kind)) return undefined;
  if (typeof kind !== 'string') return error('unknown-kind', `kind is missing. Write kind: ${kindNames()}.`, []);
  const hint = didYouMean(kind, schemas.keys());
  return error('unknown-kind', `There is no kind ${kind}.${hint || ` There are ${kindNames()}.`}`, ['kind']);
}

function kindNames(): string {
  return kinds.map((k: Kind) => k.kind).join(', ');
}
