/** Everything that can be said about files without a server: what loading them would say, and nothing else. */
import type { Language } from '../check/check.ts';
import type { CompiledRunbook } from './compiled-runbook.ts';
import { loadDocuments, type Origin } from './document.ts';
import { compileRecognition } from './incident-type-compile.ts';
import type { IncidentType } from './kinds/incident-type.ts';
import type { Runbook } from './kinds/runbook.ts';
import type { RunbookTest } from './kinds/runbook-test.ts';
import { byPlace } from './order.ts';
import type { Positions } from './positions.ts';
import type { Problem, Resource } from './resource.ts';
import { compileRunbook } from './runbook-compile.ts';
import { checkRunbookTest } from './runbook-test-check.ts';

/** One file to be looked at. */
export interface SourceText {
  origin: Origin;
  text: string | Uint8Array;
}

export interface Linted {
  resources: Resource[];
  runbooks: CompiledRunbook[];
  /** Tests in which nothing is wrong. */
  tests: RunbookTest[];
  /** In the order of files, lines and columns. */
  problems: Problem[];
}

/** Loads and compiles every document of the files. Never throws. */
export function lintTexts(texts: readonly SourceText[], language: Language): Linted {
  const linted: Linted = { resources: [], runbooks: [], tests: [], problems: [] };
  const named = new Map<string, Resource>();
  for (const { text, origin } of texts) {
    const loaded = loadDocuments(text, origin);
    linted.problems.push(...loaded.problems);
    for (const [resource, positions] of loaded.positions) {
      linted.resources.push(resource);
      lintOne(resource, positions, language, linted);
      const key = `${resource.kind}/${resource.metadata.name}`;
      const first = named.get(key)?.provenance;
      if (!first) named.set(key, resource);
      else
        linted.problems.push({
          severity: 'error',
          rule: 'duplicate-name',
          sentence: `There is another ${key} in ${first.file}, line ${first.line}. Rename one of them.`,
          source: origin.source,
          file: origin.file,
          resource: key,
          ...positions.value(['metadata', 'name']),
        });
    }
  }
  linted.problems.sort(byPlace);
  return linted;
}

function lintOne(resource: Resource, positions: Positions, language: Language, linted: Linted): void {
  if (resource.kind === 'Runbook') {
    const { runbook, problems } = compileRunbook(resource as Runbook, language, positions);
    if (runbook) linted.runbooks.push(runbook);
    linted.problems.push(...problems);
  } else if (resource.kind === 'IncidentType') {
    linted.problems.push(...compileRecognition(resource as IncidentType, language, positions).problems);
  } else if (resource.kind === 'RunbookTest') {
    const problems = checkRunbookTest(resource as RunbookTest, language.vocabulary, positions);
    if (problems.length === 0) linted.tests.push(resource as RunbookTest);
    linted.problems.push(...problems);
  }
}
