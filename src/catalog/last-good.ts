/**
 * What of a source serves: for each document the newest version that is good. Pure, but for the two ports, which are
 * pure themselves.
 */
import { messageOf } from '../errors.ts';
import type { CompiledRunbook } from './compiled-runbook.ts';
import { type Runbook, runbookKind } from './kinds/runbook.ts';
import { byText } from './order.ts';
import type { Problem, Resource } from './resource.ts';
import { fileProblem, type SourceDocument, type SourceSnapshot, type Verdicts } from './source.ts';

/** Reads the documents of one file. */
export type Load = (
  text: string,
  origin: { source: string; organization?: string; revision?: string; file: string },
) => { resources: Resource[]; problems: Problem[] };
/** Compiles a runbook; without `runbook` its problems say why. */
export type Compile = (resource: Runbook) => { runbook?: CompiledRunbook; problems: Problem[] };

/** A document that serves. */
export interface Served {
  resource: Resource;
  /** Of a Runbook. */
  runbook?: CompiledRunbook;
  /** When this version (its digest) began to serve, ms since the epoch. */
  since: number;
}

interface FileState {
  /** Undefined for a file that exists and could not be taken from the source. */
  document: SourceDocument | undefined;
  /** By kind and name. */
  served: ReadonlyMap<string, Served>;
  /** What loading and compiling said. */
  problems: readonly Problem[];
  /** Which documents serve in an older version, and since when. */
  stale: readonly Problem[];
}

/** What is known of one source. */
export interface SourceState {
  files: ReadonlyMap<string, FileState>;
  /** What the source itself said last. */
  problems: readonly Problem[];
}

export const nothingYet: SourceState = { files: new Map(), problems: [] };

export interface SourceIdentity {
  name: string;
  organization?: string | undefined;
}

/**
 * Takes a snapshot in. The rules, for each file:
 * - A document is good when loading gave it without an error and, for a Runbook, compiling gave a runbook.
 * - A good document serves from now on.
 * - A document that has turned bad goes on serving in its last good version.
 * - Where an error does not say which document it belongs to (the text cannot be parsed, the source could not take the
 *   file or a folder above it), every last good document of the file that is not there in a new version goes on serving.
 * - A document that is no longer there in a file that says nothing against it is gone, and so is a file that is gone.
 */
export function takeSnapshot(
  previous: SourceState,
  snapshot: SourceSnapshot,
  source: SourceIdentity,
  ports: { load: Load; compile: Compile; now: number },
): SourceState {
  const files = new Map<string, FileState>();
  for (const document of [...snapshot.documents].sort((a, b) => byText(a.file, b.file))) {
    const before = previous.files.get(document.file);
    const same = before?.document !== undefined && sameDocument(before.document, document);
    files.set(document.file, same ? before : takeDocument(before, document, source, ports));
  }
  const refused = snapshot.problems.filter(({ file, severity }) => file !== '' && severity === 'error');
  const untaken = (file: string) => refused.some((one) => one.file === file || file.startsWith(`${one.file}/`));
  for (const [file, { served }] of previous.files) {
    if (files.has(file) || !untaken(file)) continue;
    const stale = [...served.values()].map((old) => stillServing(old, { file, line: 1 }, source.name));
    files.set(file, { document: undefined, served, problems: [], stale });
  }
  return { files, problems: snapshot.problems };
}

/** What loading and compiling said, by file, for the source to write back. */
export function verdictsOf(state: SourceState): Verdicts {
  const read = [...state.files].filter(([, { document }]) => document !== undefined);
  return new Map(read.map(([file, { problems }]) => [file, problems]));
}

function sameDocument(a: SourceDocument, b: SourceDocument): boolean {
  return a.text === b.text && a.revision === b.revision && a.organization === b.organization;
}

function takeDocument(
  before: FileState | undefined,
  document: SourceDocument,
  source: SourceIdentity,
  { load, compile, now }: { load: Load; compile: Compile; now: number },
): FileState {
  const { resources, problems } = loadSafely(load, document, source);
  const served = new Map<string, Served>();
  for (const resource of resources) {
    const key = keyOf(resource);
    // A name that stands twice in one file: the first one serves, as it does across files.
    if (served.has(key)) problems.push(twiceInFile(served.get(key)?.resource ?? resource, resource));
    else if (!hasError(problems, key)) {
      const compiled = compileSafely(compile, resource);
      problems.push(...compiled.problems);
      if (!compiled.good) continue;
      const old = before?.served.get(key);
      const since = old && old.resource.provenance.digest === resource.provenance.digest ? old.since : now;
      served.set(key, { resource, since, ...(compiled.runbook ? { runbook: compiled.runbook } : {}) });
    }
  }
  const stale: Problem[] = [];
  for (const [key, old] of before?.served ?? []) {
    if (served.has(key)) continue;
    const reason = problems.find(
      (problem) => problem.severity === 'error' && (problem.resource === undefined || problem.resource === key),
    );
    if (reason === undefined || !sameOwner(old.resource, document, source)) continue;
    served.set(key, old);
    stale.push(stillServing(old, { file: document.file, line: reason.line }, source.name));
  }
  return { document, served, problems, stale };
}

/** A file whose Organization has changed must not go on serving what another Organization declared. */
function sameOwner(old: Resource, document: SourceDocument, source: SourceIdentity): boolean {
  return old.provenance.organization === (document.organization ?? source.organization);
}

function loadSafely(load: Load, document: SourceDocument, source: SourceIdentity) {
  const { file, text, revision } = document;
  const organization = document.organization ?? source.organization;
  try {
    const origin = {
      source: source.name,
      file,
      ...(organization === undefined ? {} : { organization }),
      ...(revision === undefined ? {} : { revision }),
    };
    const { resources, problems } = load(text, origin);
    return { resources, problems: [...problems] };
  } catch (error) {
    // One hostile file must not take the others down with it.
    const sentence = `The file could not be read as documents: ${messageOf(error)}`;
    return { resources: [], problems: [fileProblem(source.name, file, 'unreadable', sentence)] };
  }
}

function compileSafely(
  compile: Compile,
  resource: Resource,
): { good: boolean; runbook?: CompiledRunbook; problems: Problem[] } {
  if (resource.kind !== runbookKind.kind) return { good: true, problems: [] };
  try {
    // `load` has validated the spec against the schema of its kind.
    const { runbook, problems } = compile(resource as Runbook);
    const good = runbook !== undefined && !problems.some((problem) => problem.severity === 'error');
    const named = problems.map((problem) => ({ ...problem, resource: problem.resource ?? keyOf(resource) }));
    return good ? { good, runbook, problems: named } : { good, problems: [...named, ...unexplained(named, resource)] };
  } catch (error) {
    return {
      good: false,
      problems: [problemOf(resource, 'uncompilable', `It could not be compiled: ${messageOf(error)}`)],
    };
  }
}

/** A runbook that is refused is refused with at least one error, whatever the compiler said. */
function unexplained(problems: readonly Problem[], resource: Resource): Problem[] {
  if (problems.some((problem) => problem.severity === 'error')) return [];
  return [problemOf(resource, 'uncompilable', 'It could not be compiled.')];
}

function hasError(problems: readonly Problem[], key: string): boolean {
  return problems.some((problem) => problem.severity === 'error' && problem.resource === key);
}

function twiceInFile(first: Resource, second: Resource): Problem {
  const sentence = `${keyOf(second)} stands twice in this file, in lines ${first.provenance.line} and ${second.provenance.line}; the first serves. Remove or rename one.`;
  // A warning: the first one is good, and an error would say that it is not.
  return { ...problemOf(second, 'declared-twice', sentence), severity: 'warning' };
}

function stillServing(old: Served, place: { file: string; line: number }, source: string): Problem {
  const { revision, digest } = old.resource.provenance;
  const version = revision === undefined ? '' : `revision ${revision.slice(0, 12)}, `;
  return {
    severity: 'warning',
    rule: 'last-good-serves',
    sentence: `${keyOf(old.resource)}: the last good version (${version}digest ${digest.slice(0, 12)}) is still serving, since ${new Date(old.since).toISOString()}. Mend the file to replace it, or delete it to withdraw it.`,
    source,
    file: place.file,
    line: place.line,
    column: 1,
    resource: keyOf(old.resource),
  };
}

/** A problem told at the beginning of a document. */
export function problemOf(resource: Resource, rule: string, sentence: string): Problem {
  const { source, file, line } = resource.provenance;
  return { severity: 'error', rule, sentence, source, file, line, column: 1, resource: keyOf(resource) };
}

/** `Runbook/openbao-sealed`. */
export function keyOf({ kind, metadata }: Resource): string {
  return `${kind}/${metadata.name}`;
}
