/** What the command line does about SLOs without a server: generating files, linting, explaining, testing. */
import { join, relative } from 'node:path';
import type { Exporter } from '../catalog/kinds/exporter.ts';
import { byPlace } from '../catalog/order.ts';
import type { Problem } from '../catalog/resource.ts';
import type { LintReport, RenderOptions, RenderReport, SloExplanation, TestReport } from '../cli/registry.ts';
import { CatalystError } from '../errors.ts';
import { alertmanagerFiles, defaultAlertmanagerOptions } from '../slo/alertmanager.ts';
import { isAlertmanagerConfiguration, lintAlertmanager } from '../slo/alertmanager-lint.ts';
import { declaredAlerts } from '../slo/answer-lint.ts';
import { loadSloDocuments, type SloDocuments } from '../slo/documents.ts';
import { explainAlert, explainSlo } from '../slo/explain.ts';
import { grafanaFiles } from '../slo/grafana.ts';
import { readOpenSlo } from '../slo/imports/openslo.ts';
import { readSloth } from '../slo/imports/sloth.ts';
import { prometheusFiles } from '../slo/prometheus-files.ts';
import { ruleUnits } from '../slo/rule-unit.ts';
import { lintSloDocuments } from '../slo/slo-lint.ts';
import { handbookDirectory, textsUnder } from './document-files.ts';

/** Folders of the handbook that say something about alerting. */
const handbookFolders = ['exporters', 'slos', 'alerts', 'runbooks', 'incident-types'];

interface Read {
  documents: SloDocuments;
  /** Files that were asked for, as they are named in problems. */
  files: ReadonlySet<string>;
  problems: readonly Problem[];
}

/** The handbook's documents, and those under the paths before them, with everything that is wrong. */
async function read(paths: readonly string[]): Promise<Read> {
  const handbook = await textsUnder(
    handbookFolders.map((folder) => join(handbookDirectory, folder)),
    (file) => relative(join(handbookDirectory, '..'), file),
  );
  const own = await textsUnder(paths);
  const configurations = own.filter(({ text }) => isAlertmanagerConfiguration(String(text)));
  const texts = [...handbook, ...own.filter((text) => !configurations.includes(text))];
  const documents = loadSloDocuments(texts, [readSloth, readOpenSlo]);
  lintSloDocuments(documents);
  const alerts = declaredAlerts(documents);
  const problems = [
    ...documents.problems,
    ...configurations.flatMap(({ text, origin }) => lintAlertmanager(String(text), origin, alerts)),
  ];
  problems.sort(byPlace);
  return { documents, problems, files: new Set(own.map(({ origin }) => origin.file)) };
}

/** What the handbook knows of exporters, for the page about instrumentation. */
export async function handbookExporters(): Promise<readonly Exporter[]> {
  return (await read([])).documents.exporters;
}

export async function lintSlos(paths: readonly string[]): Promise<LintReport> {
  const { problems, files, documents } = await read(paths);
  const { slos, alerts } = documents;
  const own = [...slos.map(({ resource }) => resource), ...alerts].filter(({ provenance }) =>
    files.has(provenance.file),
  );
  return { documents: own.length, problems: problems.filter(({ file }) => files.has(file)) };
}

export async function explainSlos(
  paths: readonly string[],
): Promise<{ explanations: readonly SloExplanation[]; problems: readonly Problem[] }> {
  const { documents, problems, files } = await read(paths);
  const explanations = [...documents.slos.map(explainSlo), ...documents.alerts.map(explainAlert)];
  return {
    explanations: explanations.filter(({ file }) => files.has(file)),
    problems: problems.filter(({ file }) => files.has(file)),
  };
}

/** Runs the generated unit tests of the documents under the paths with promtool. */
export async function testSlos(paths: readonly string[], signal: AbortSignal): Promise<TestReport> {
  const { documents, problems, files } = await read(paths);
  refuseErrors(problems.filter(({ file }) => files.has(file)));
  const units = ruleUnits(documents).filter(({ of }) =>
    files.has(('slo' in of ? of.slo.resource : of.alert).provenance.file),
  );
  const places = new Map(
    units.map(({ service, name, of }) => [`${service}/${name}`, ('slo' in of ? of.slo.resource : of.alert).provenance]),
  );
  const { runPromtool } = await import('./promtool.ts');
  const results = await runPromtool(prometheusFiles(units), signal);
  return {
    cases: results.map(({ unit, passed, sentence, took }) => ({
      file: places.get(unit)?.file ?? unit,
      line: places.get(unit)?.line ?? 1,
      name: unit,
      passed,
      took,
      ...(sentence === undefined ? {} : { sentence }),
    })),
  };
}

function refuseErrors(problems: readonly Problem[]): void {
  const wrong = problems.find((problem) => problem.severity === 'error');
  if (wrong)
    throw new CatalystError('InvalidResource', `${wrong.file}:${wrong.line}:${wrong.column} ${wrong.sentence}`, {
      hint: 'catalyst-sre slo lint says everything that is wrong.',
    });
}

/** One command renders several things from the same documents, and reads them once. */
const readFor = new WeakMap<RenderOptions, Promise<Read>>();

async function rendered(
  options: RenderOptions,
  files: (documents: SloDocuments) => RenderReport['files'],
): Promise<RenderReport> {
  const reading = readFor.get(options) ?? read(options.from);
  readFor.set(options, reading);
  const { documents, problems } = await reading;
  // What an error leaves out would be missing from the files without a word.
  if (problems.some(({ severity }) => severity === 'error')) return { files: [], problems };
  return { files: files(documents), problems };
}

export function renderPrometheus(options: RenderOptions): Promise<RenderReport> {
  return rendered(options, (documents) => prometheusFiles(ruleUnits(documents)));
}

export function renderAlertmanager(options: RenderOptions): Promise<RenderReport> {
  const { receiverUrl, tokenFile, heartbeatUrl, giteaUrl, alertmanagerVersion: version } = options;
  const defaults = defaultAlertmanagerOptions;
  return rendered(options, (documents) =>
    alertmanagerFiles(documents, {
      receiverUrl: receiverUrl ?? defaults.receiverUrl,
      tokenFile: tokenFile ?? defaults.tokenFile,
      giteaUrl: giteaUrl ?? defaults.giteaUrl,
      version: version ?? defaults.version,
      heartbeatUrl,
    }),
  );
}

export function renderGrafana(): RenderReport {
  return { files: grafanaFiles(), problems: [] };
}
