/**
 * Writes docs/reference and the types of the console from the sources; with `--check` says which page is not what the sources say, and fails.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApi } from '../src/api/api.ts';
import { createFixture, fixtureOptions } from '../src/api/api-fixture.ts';
import { openApiDocument } from '../src/api/openapi.ts';
import { consoleTypes, type Schema } from './console-types.ts';
import {
  accessPage,
  cliPage,
  configurationPage,
  errorsPage,
  instrumentationReference,
  metricsPage,
  probePage,
} from './reference-pages.ts';

const root = new URL('../', import.meta.url);

/** Every generated page by its path. */
export async function referencePages(): Promise<Map<string, string>> {
  const document = await openApi();
  return new Map([
    ['console/src/server/api-types.ts', consoleTypes(document.components.schemas)],
    ['docs/reference/access.md', accessPage()],
    ['docs/reference/cli.md', cliPage()],
    ['docs/reference/configuration.md', configurationPage()],
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/instrumentation.md', await instrumentationReference()],
    ['docs/reference/metrics.md', metricsPage()],
    ['docs/reference/probe.md', probePage()],
    ['docs/reference/openapi.json', `${JSON.stringify(document, null, 2)}\n`],
  ]);
}

async function openApi(): Promise<{ components: { schemas: Record<string, Schema> } }> {
  const { version } = JSON.parse(await readFile(new URL('package.json', root), 'utf8')) as { version: string };
  const api = await createApi(createFixture().ports, { ...fixtureOptions(), version });
  const document = openApiDocument(api);
  await api.close();
  return document as never;
}

/** Paths whose committed text is not what the sources say. */
export async function stalePages(pages: ReadonlyMap<string, string>): Promise<string[]> {
  const stale: string[] = [];
  for (const [path, text] of pages) {
    const committed = await readFile(new URL(path, root), 'utf8').catch(() => undefined);
    if (committed !== text) stale.push(path);
  }
  return stale;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const pages = await referencePages();
  if (process.argv.includes('--check')) {
    const stale = await stalePages(pages);
    for (const path of stale) process.stderr.write(`${path} is stale: run node tools/generate-reference.ts\n`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else
    for (const [path, text] of pages) {
      const file = new URL(path, root);
      await mkdir(dirname(fileURLToPath(file)), { recursive: true });
      await writeFile(file, text);
      process.stdout.write(`${path}\n`);
    }
}
