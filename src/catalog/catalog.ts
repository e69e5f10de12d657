/**
 * The catalog: what all sources declare, merged, always whole. Readers see one consistent catalog at any moment; a change
 * replaces it at once. How a document turns bad and what serves then is in `last-good.ts`, who overrides whom in
 * `merge.ts`.
 */
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { CompiledRunbook } from './compiled-runbook.ts';
import type { IncidentType } from './kinds/incident-type.ts';
import { type Compile, type Load, nothingYet, type SourceState, takeSnapshot, verdictsOf } from './last-good.ts';
import { type CatalogView, mergeSources } from './merge.ts';
import type { Kind, Problem, Resource } from './resource.ts';
import { type CatalogSource, type SourceSnapshot, sourceProblem } from './source.ts';

/** Long enough for a small fetch over a slow line; the product must be there for alerts soon, runbooks or not. */
const defaultStartLimitMs = 10_000;

export interface CatalogOptions {
  /** Later ones win over earlier ones of equal precedence. Their names must differ. */
  sources: readonly CatalogSource[];
  load: Load;
  compile: Compile;
  clock: Clock;
  /** Told of a source or a listener that failed in a way it should not; the catalog goes on. */
  onError: (part: string, error: unknown) => void;
  /** How long `start` waits for the sources, ms. Default 10 s. */
  startLimitMs?: number;
}

export interface Catalog {
  /**
   * Starts the sources; resolves when each has given its first snapshot, or after the limit of time: a source that is
   * away does not keep the product from starting. Its documents come in when it answers, and until then a problem says
   * that they are missing.
   */
  start(): Promise<void>;
  /** Resolves when nothing of any source runs any more; what was read stays readable. */
  stop(): Promise<void>;
  /** What counts for an Organization (its own and the Sovereign's), or for the Sovereign's own; ordered by name. */
  runbooks(organization: string | undefined): readonly CompiledRunbook[];
  find(name: string, organization: string | undefined): CompiledRunbook | undefined;
  /** Every runbook that counts for somebody, with its Organization in its provenance. */
  all(): readonly CompiledRunbook[];
  /** Every IncidentType that counts for somebody. */
  incidentTypes(): readonly IncidentType[];
  /** Every document of a kind that counts for somebody, validated against the kind's schema; ordered by name. */
  resources<R extends Resource>(kind: Kind): readonly R[];
  /** What is wrong, of all sources, ordered by source and place. */
  problems(): readonly Problem[];
  /** Grows by one with each change of documents or problems. */
  readonly revision: number;
  /** Calls after each change, when readers see it already. Returns what ends it. */
  onChange(listener: () => void): () => void;
  /**
   * Asks for the sources that read the repository (`owner/name`) to read again, and does not wait for them: a push event
   * is answered within seconds. False when no source reads it.
   */
  refresh(repository: string): Promise<boolean>;
}

/** Makes a catalog that has read nothing yet. */
export function createCatalog(options: CatalogOptions): Catalog {
  const { sources, load, compile, clock, onError, startLimitMs = defaultStartLimitMs } = options;
  const states = new Map<string, SourceState>(sources.map(({ name }) => [name, nothingYet]));
  if (states.size < sources.length) throw new Error('Two sources of the catalog have the same name.');
  const listeners = new Set<() => void>();
  const stopping = new AbortController();
  let view: CatalogView = mergeSources([]);
  let revision = 0;

  function replace(name: string, state: SourceState): void {
    states.set(name, state);
    const merged = mergeSources(
      sources.map(({ name, precedence }) => ({ precedence, state: states.get(name) ?? nothingYet })),
    );
    if (merged.fingerprint === view.fingerprint) return;
    view = merged;
    revision += 1;
    for (const listener of listeners) attempt('listener', listener);
  }

  function take(source: CatalogSource, snapshot: SourceSnapshot): void {
    if (stopping.signal.aborted) return;
    const state = takeSnapshot(states.get(source.name) ?? nothingYet, snapshot, source, {
      load,
      compile,
      now: clock.now(),
    });
    replace(source.name, state);
    attempt(source.name, () => source.report?.(verdictsOf(state)));
  }

  function attempt(part: string, effect: () => void): void {
    try {
      effect();
    } catch (error) {
      onError(part, error);
    }
  }

  /** Resolves with the first snapshot. */
  function begin(source: CatalogSource): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const started = source.start((snapshot) => {
      take(source, snapshot);
      resolve();
    });
    started.then(resolve, (error: unknown) => {
      onError(source.name, error);
      const sentence = `The source could not be started: ${messageOf(error)}`;
      if (!stopping.signal.aborted) tellOf(source, 'source-failed', sentence);
      resolve();
    });
    return promise;
  }

  function tellOf({ name }: CatalogSource, rule: string, sentence: string): void {
    const { files } = states.get(name) ?? nothingYet;
    replace(name, { files, problems: [sourceProblem(name, rule, sentence)] });
  }

  return {
    async start() {
      const over = new AbortController();
      const first = sources.map((source) => begin(source));
      const limit = clock.sleep(startLimitMs, AbortSignal.any([over.signal, stopping.signal])).catch(() => {});
      await Promise.race([Promise.all(first), limit]);
      over.abort();
      if (stopping.signal.aborted) return;
      for (const source of sources) {
        if (states.get(source.name) !== nothingYet) continue;
        const sentence = `The source has not answered within ${startLimitMs / 1000} s; its documents are missing until it does.`;
        tellOf(source, 'source-late', sentence);
      }
    },
    async stop() {
      stopping.abort();
      const stopped = await Promise.allSettled(sources.map((source) => source.stop()));
      for (const [position, result] of stopped.entries())
        if (result.status === 'rejected') onError(sources[position]?.name ?? 'source', result.reason);
    },
    runbooks: (organization) => view.runbooks(organization),
    find: (name, organization) => view.find(name, organization),
    all: () => view.all,
    incidentTypes: () => view.incidentTypes,
    resources: <R extends Resource>(kind: Kind) => view.resources(kind) as readonly R[],
    problems: () => view.problems,
    get revision() {
      return revision;
    },
    onChange(listener) {
      // A function of its own for each call: the same listener given twice is called twice, and ended one by one.
      const own = () => listener();
      listeners.add(own);
      return () => listeners.delete(own);
    },
    async refresh(repository) {
      const wanted = repository.toLowerCase();
      const readers = sources.filter((source) => source.repository?.toLowerCase() === wanted);
      for (const source of readers) void source.refresh().catch((error: unknown) => onError(source.name, error));
      return readers.length > 0;
    },
  };
}
