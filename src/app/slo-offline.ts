/** What the command line does about SLOs without a server: generating files, linting, explaining, testing. */
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { SourceText } from '../catalog/lint.ts';
import { loadSloDocuments, type SloDocuments } from '../slo/documents.ts';
import { prometheusFiles, type RenderedText, ruleUnits } from '../slo/prometheus-files.ts';
import { handbookDirectory } from './catalog.ts';
import { filesUnder } from './offline.ts';

/** Folders of the handbook that say something about alerting. */
const handbookFolders = ['exporters', 'slos', 'alerts', 'runbooks', 'incident-types'];

async function textsOf(paths: readonly string[], nameOf: (file: string) => string): Promise<SourceText[]> {
  const files = (await Promise.all(paths.map(filesUnder))).flat();
  return Promise.all(
    files.map(async (file) => ({ origin: { source: 'files', file: nameOf(file) }, text: await readFile(file) })),
  );
}

/** The handbook's documents, and those under the paths in front of them. */
async function documents(paths: readonly string[]): Promise<SloDocuments> {
  const handbook = await textsOf(
    handbookFolders.map((folder) => join(handbookDirectory, folder)),
    (file) => join('handbook', relative(handbookDirectory, file)),
  );
  const own = await textsOf(paths, (file) => file);
  return loadSloDocuments([...handbook, ...own]);
}

export async function renderPrometheus(paths: readonly string[]): Promise<RenderedText[]> {
  return prometheusFiles(ruleUnits(await documents(paths)));
}
