/** Where documents come from: the port that folders, Git repositories and the cluster implement. */
import { byText } from './order.ts';
import type { Problem } from './resource.ts';

/** One document file as a source holds it. A file may hold several documents. */
export interface SourceDocument {
  /** Path inside the source with `/` between its parts; `namespace/name` for cluster objects. */
  file: string;
  text: string;
  /** Commit hash for Git, `resourceVersion` for cluster objects, undefined for folders. */
  revision?: string;
  /** The Organization of this one document where a source holds several Organizations'; else the source's own counts. */
  organization?: string;
}

/**
 * Everything a source holds at one moment. A file that is neither among the documents nor named by an error of
 * `problems` is gone.
 */
export interface SourceSnapshot {
  /** Commit hash of a Git source. */
  revision?: string;
  documents: readonly SourceDocument[];
  /**
   * What the source could not do. Where it concerns one file (`file` is not empty), the file exists and could not be
   * taken; where it concerns the whole source (`file` is empty), `documents` is what was read last.
   */
  problems: readonly Problem[];
}

/** What the catalog made of one file of a source: what loading and compiling said of it, errors and warnings. */
export type Verdicts = ReadonlyMap<string, readonly Problem[]>;

export interface CatalogSource {
  /** As provenance names it: `handbook`, `folder:/etc/runbooks`, `git:acme/runbooks`, `cluster`. Unique in a catalog. */
  name: string;
  /** The Organization whose documents they are; undefined for the Sovereign's own. */
  organization?: string;
  /** The higher overrides the lower; see `precedences`. */
  precedence: number;
  /** `owner/name` of the repository it reads, for push events. */
  repository?: string;
  /**
   * Begins to read and goes on until `stop`. `onChange` is called with the first snapshot, even when nothing could be
   * read (then its problems say so), and with each one that differs from the one before. Resolves after the first one.
   */
  start(onChange: (snapshot: SourceSnapshot) => void): Promise<void>;
  /** Reads again at once; resolves when a reading that began after the call has ended. Calls in the meantime share one. */
  refresh(): Promise<void>;
  /** Resolves when nothing of it runs any more; `onChange` is not called afterwards. */
  stop(): Promise<void>;
  /** Told what became of its files after each of its snapshots, for a source that writes it back. Must not throw. */
  report?(verdicts: Verdicts): void;
}

/** Which source wins: the nearer to the running cluster the higher. Gaps leave room for sources yet to come. */
export const precedences = { handbook: 0, folder: 100, sovereignGit: 200, organizationGit: 300, cluster: 400 } as const;

/** A problem of a whole source: it has no file and so no place in one. */
export function sourceProblem(source: string, rule: string, sentence: string): Problem {
  return { severity: 'error', rule, sentence, source, file: '', line: 0, column: 0 };
}

/** A problem of a whole file, told at its beginning. */
export function fileProblem(
  source: string,
  file: string,
  rule: string,
  sentence: string,
  severity: Problem['severity'] = 'error',
): Problem {
  return { severity, rule, sentence, source, file, line: 1, column: 1 };
}

/** Whether two snapshots say the same, so that a source tells only of changes. The order of documents does not count. */
export function sameSnapshot(a: SourceSnapshot | undefined, b: SourceSnapshot): boolean {
  return a !== undefined && canonical(a) === canonical(b);
}

function canonical({ revision, documents, problems }: SourceSnapshot): string {
  const files = [...documents].sort((a, b) => byText(a.file, b.file));
  return JSON.stringify([
    revision,
    files.map((document) => [document.file, document.revision, document.organization, document.text]),
    problems.map((problem) => [problem.rule, problem.file, problem.sentence]).sort(),
  ]);
}
