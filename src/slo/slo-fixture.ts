/** Documents for tests: the handbook's, with others in front of them. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceText } from '../catalog/lint.ts';
import { loadSloDocuments, type SloDocuments } from './documents.ts';
import { lintSloDocuments } from './slo-lint.ts';

export const root = join(import.meta.dirname, '../..');

const textOf = (file: string): SourceText => ({
  origin: { source: 'files', file },
  text: readFileSync(join(root, file)),
});

export const handbookTexts: readonly SourceText[] = globSync(
  'handbook/{exporters,slos,alerts,runbooks,incident-types}/*.yaml',
  { cwd: root },
)
  .sort()
  .map(textOf);

/** Loads and lints the handbook with texts in front of it. */
export function lintWith(texts: readonly SourceText[] = []): SloDocuments {
  const documents = loadSloDocuments([...handbookTexts, ...texts]);
  lintSloDocuments(documents);
  return documents;
}

export const sourceOf = (file: string, text: string): SourceText => ({ origin: { source: 'files', file }, text });
