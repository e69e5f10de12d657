/** A language of one line for each document, and sources that say what a test wants, to test the catalog by itself. */
import { createHash } from 'node:crypto';
import { type Catalog, type CatalogOptions, createCatalog } from './catalog.ts';
import type { CompiledRunbook } from './compiled-runbook.ts';
import type { Compile, Load } from './last-good.ts';
import { apiVersion, type Problem, type Resource } from './resource.ts';
import type { CatalogSource, SourceDocument, SourceSnapshot, Verdicts } from './source.ts';

/**
 * `Runbook a text` is a document. With `!` for text it does not compile; with `?` loading says what is wrong with it; a
 * line `%%%` cannot be parsed, and neither can what comes after it.
 */
export const load: Load = (text, origin) => {
  const resources: Resource[] = [];
  const problems: Problem[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const place = { source: origin.source, file: origin.file, line: index + 1, column: 1 };
    const error = { severity: 'error', rule: 'wrong', sentence: `wrong: ${line}`, ...place } as const;
    if (line === '%%%') {
      problems.push(error);
      break;
    }
    const [kind, name, body] = line.split(' ');
    if (!kind || !name) continue;
    if (body === '?') {
      problems.push({ ...error, resource: `${kind}/${name}` });
      continue;
    }
    const digest = createHash('sha256').update(line).digest('hex');
    const provenance = { ...origin, line: index + 1, digest };
    resources.push({ apiVersion, kind, metadata: { name }, spec: { body }, provenance });
  }
  return { resources, problems };
};

export const compile: Compile = (resource) => {
  const { file, line, source } = resource.provenance;
  const said = { rule: 'step', source, file, line, column: 3 };
  const { body } = resource.spec as unknown as { body: string };
  if (body === '!') return { problems: [{ severity: 'error', sentence: 'no such action', ...said }] };
  // Only what the catalog looks at; it does not run runbooks.
  return { runbook: { resource } as CompiledRunbook, problems: [] };
};

/** A source that says what it is told to. */
export interface SaidSource extends CatalogSource {
  say(
    files: Readonly<Record<string, string>>,
    more?: Partial<SourceSnapshot> & { organizations?: Record<string, string> },
  ): void;
  refreshes: number;
  verdicts: Verdicts | undefined;
}

export function saidSource(name: string, precedence: number, more: Partial<CatalogSource> = {}): SaidSource {
  let tell: ((snapshot: SourceSnapshot) => void) | undefined;
  let first: Promise<void> | undefined;
  const source: SaidSource = {
    name,
    precedence,
    refreshes: 0,
    verdicts: undefined,
    start(onChange) {
      const { promise, resolve } = Promise.withResolvers<void>();
      tell = (snapshot) => {
        onChange(snapshot);
        resolve();
      };
      first = promise;
      return first;
    },
    refresh: async () => {
      source.refreshes += 1;
    },
    stop: async () => {},
    report(verdicts) {
      source.verdicts = verdicts;
    },
    say(files, { organizations = {}, ...snapshot } = {}) {
      const documents = Object.entries(files).map(([file, text]): SourceDocument => {
        const organization = organizations[file];
        return { file, text, ...(organization === undefined ? {} : { organization }) };
      });
      tell?.({ documents, problems: [], ...snapshot });
    },
    ...more,
  };
  return source;
}

/** A catalog of these sources that has been started, each source having said nothing yet. */
export async function startedCatalog(
  options: Omit<CatalogOptions, 'load' | 'compile' | 'onError'> & {
    sources: SaidSource[];
    onError?: CatalogOptions['onError'];
  },
): Promise<Catalog> {
  const catalog = createCatalog({
    load,
    compile,
    onError: (_part, error) => {
      throw error;
    },
    ...options,
  });
  const started = catalog.start();
  for (const source of options.sources) source.say({});
  await started;
  return catalog;
}

/** `name@source text` of each runbook. */
export function summary(runbooks: readonly CompiledRunbook[]): string[] {
  return runbooks.map(({ resource: { metadata, provenance, spec } }) => {
    const { body } = spec as unknown as { body: string };
    return `${metadata.name}@${provenance.source} ${body}`;
  });
}
