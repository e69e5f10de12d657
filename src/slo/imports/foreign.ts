/** What reading documents of other tools has in common: they become ServiceLevelObjectives, with their places. */
import { createHash } from 'node:crypto';
import { type Loaded, maxFileBytes, type Origin } from '../../catalog/document.ts';
import {
  type ServiceLevelObjectiveSpec,
  serviceLevelObjectiveKind,
} from '../../catalog/kinds/service-level-objective.ts';
import type { Position, Positions } from '../../catalog/positions.ts';
import { apiVersion, type Problem, type Resource } from '../../catalog/resource.ts';
import { type Path, validate } from '../../catalog/schema.ts';
import { parseYaml } from '../../catalog/yaml-text.ts';

export interface ForeignDocument {
  value: Record<string, unknown>;
  positions: Positions;
  /** Says what is wrong with it. */
  say(severity: Problem['severity'], rule: string, path: Path, sentence: string): void;
}

export interface Converted {
  name: string;
  spec: ServiceLevelObjectiveSpec;
  /** Where it stands in the document it came from. */
  path: Path;
}

export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const maps = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isMap) : []);
export const map = (value: unknown): Record<string, unknown> => (isMap(value) ? value : {});
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A name as Kubernetes takes it. */
export const dnsName = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63) || 'unnamed';

/** 0.999 and 99.9 as `99.9%`: the digits that were written, not those of a binary fraction. */
export function percentOf(value: unknown, isRatio: boolean): string | undefined {
  const number = Number(value);
  if (value === undefined || !Number.isFinite(number)) return undefined;
  // Nine digits tell five nines apart and hide the noise of multiplying.
  return `${Number((isRatio ? number * 100 : number).toPrecision(9))}%`;
}

/** Documents of a text by the lines between them; each with its places in the file. */
export function foreignDocuments(text: string, origin: Origin, problems: Problem[]): ForeignDocument[] {
  const documents: ForeignDocument[] = [];
  let before = 0;
  for (const part of text.split(/^---.*$/m)) {
    const lines = before;
    before += part.split('\n').length - 1;
    const shift = (at: Position): Position => ({ line: at.line + lines, column: at.column });
    const add = (problem: Omit<Problem, 'source' | 'file'>) =>
      problems.push({ source: origin.source, file: origin.file, ...problem });
    const { value, problems: wrong, positions } = parseYaml(part);
    for (const problem of wrong) add({ severity: 'error', ...problem, ...shift(problem) });
    if (!isMap(value)) continue;
    const places: Positions = {
      value: (path, offset) => shift(positions.value(path, offset)),
      key: (path) => shift(positions.key(path)),
    };
    documents.push({
      value,
      positions: places,
      say: (severity, rule, path, sentence) => add({ severity, rule, sentence, ...places.value(path) }),
    });
  }
  return documents;
}

/** Reads a text with a converter for each of its documents; whatever does not fit our schema is told. */
export function readForeign(
  text: string | Uint8Array,
  origin: Origin,
  convert: (document: ForeignDocument, all: readonly ForeignDocument[]) => Converted[],
): Loaded {
  const problems: Problem[] = [];
  const positions = new Map<Resource, Positions>();
  const decoded = typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
  const resources: Resource[] = [];
  const loaded: Loaded = { resources, problems, positions };
  if (Buffer.byteLength(decoded) > maxFileBytes) {
    const sentence = `The file is larger than ${maxFileBytes} bytes. Split it.`;
    problems.push({ ...origin, severity: 'error', rule: 'too-large', sentence, line: 1, column: 1 });
    return loaded;
  }
  const documents = foreignDocuments(decoded, origin, problems);
  for (const document of documents)
    for (const { name, spec, path } of convert(document, documents)) {
      const wrong = validate(serviceLevelObjectiveKind.spec, spec);
      for (const { rule, sentence } of wrong) document.say('error', rule, path, sentence);
      if (wrong.length > 0) continue;
      const place = document.positions.value(path);
      const resource: Resource = {
        apiVersion,
        kind: serviceLevelObjectiveKind.kind,
        metadata: { name },
        spec,
        provenance: { ...origin, line: place.line, digest: createHash('sha256').update(decoded).digest('hex') },
      };
      resources.push(resource);
      // Fields have other names there; the place of the objective is as near as it gets.
      positions.set(resource, { value: () => place, key: () => place });
    }
  return loaded;
}
