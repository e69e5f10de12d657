/** Whether every alert has an answer, every runbook an alert, and each finds in the other what it needs. */
import type { AlertRule } from '../catalog/kinds/alert-rule.ts';
import type { Runbook } from '../catalog/kinds/runbook.ts';
import type { Resource } from '../catalog/resource.ts';
import type { Path } from '../catalog/schema.ts';
import { didYouMean } from '../check/nearest.ts';
import type { SloDocuments } from './documents.ts';
import { parsePromQl, type ResultLabels, resultLabels } from './promql.ts';
import { missingAlertName } from './rules.ts';
import type { Slo } from './slo.ts';

/** An alert that can be sent. */
export interface DeclaredAlert {
  alert: string;
  severity: string;
  /** Labels it carries. */
  labels: ResultLabels;
  /** Labels whose value is known. */
  fixed: Readonly<Record<string, string>>;
  resource: Resource;
  /** Where its answer stands. */
  path: Path;
  runbook?: string | undefined;
  notifyOnly?: string | undefined;
  /** Texts with templates, with their places. */
  templates: readonly { path: Path; text: string }[];
}

/** Every alert the documents declare, in their order. */
export function declaredAlerts({ slos, alerts }: Pick<SloDocuments, 'slos' | 'alerts'>): DeclaredAlert[] {
  return [...slos.flatMap(ofSlo), ...alerts.map(ofAlertRule)];
}

function ofSlo(slo: Slo): DeclaredAlert[] {
  const { spec, resource, threshold, pairs, burnAlert, by } = slo;
  const fixed = { ...literal(spec.labels), slo: slo.name, slo_service: spec.service };
  const names = new Set([...by, ...Object.keys(fixed), ...Object.keys(spec.labels ?? {}), 'severity', 'alertname']);
  const shared = { resource, labels: { labels: names, open: false }, templates: templatesOf(spec.labels) };
  const found: DeclaredAlert[] = [];
  if (threshold) found.push({ ...shared, ...threshold, fixed, path: ['spec', 'threshold'] });
  const burn = { ...shared, ...spec.burnRate, alert: burnAlert, fixed, path: ['spec', 'burnRate'] };
  for (const severity of new Set(pairs.map((pair) => pair.severity)))
    found.push({
      ...burn,
      severity,
      labels: { labels: new Set([...names, 'burn_rate', 'window']), open: false },
    });
  return found;
}

function ofAlertRule(resource: AlertRule): DeclaredAlert {
  const { spec } = resource;
  const result = resultLabels(parsePromQl(spec.expr));
  const names = [...result.labels, ...Object.keys(spec.labels ?? {}), 'severity', 'alertname'];
  return {
    alert: spec.alert,
    severity: spec.severity,
    labels: { labels: new Set(names), open: result.open },
    fixed: literal(spec.labels),
    resource,
    path: ['spec'],
    runbook: spec.runbook,
    notifyOnly: spec.notifyOnly,
    templates: [
      { path: ['spec', 'summary'], text: spec.summary },
      ...(spec.description === undefined ? [] : [{ path: ['spec', 'description'], text: spec.description }]),
      ...templatesOf(spec.labels),
    ],
  };
}

function literal(labels: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => !value.includes('{{')));
}

function templatesOf(labels: Readonly<Record<string, string>> = {}): { path: Path; text: string }[] {
  return Object.entries(labels).map(([name, text]) => ({ path: ['spec', 'labels', name], text }));
}

export function lintAnswers(documents: SloDocuments): void {
  const declared = declaredAlerts(documents);
  const runbooks = new Map(documents.runbooks.map((runbook) => [runbook.metadata.name, runbook]));
  for (const alert of declared) {
    lintAnswer(alert, runbooks, documents);
    lintTemplates(alert, documents);
  }
  lintNames(declared, documents);
  const names = new Set([...declared.map(({ alert }) => alert), missingAlertName]);
  for (const runbook of documents.runbooks) lintTriggers(runbook, names, documents);
  for (const type of documents.incidentTypes)
    type.spec.recognisedBy.forEach(({ alertName }, i) => {
      if (names.has(alertName)) return;
      documents.reporter(type)(
        'error',
        'incident-type-without-alert',
        ['spec', 'recognisedBy', i, 'alertName'],
        `No alert is named ${alertName}, so nothing is ever recognised by it.${didYouMean(alertName, names)}`,
      );
    });
}

function lintAnswer(alert: DeclaredAlert, runbooks: ReadonlyMap<string, Runbook>, { reporter }: SloDocuments): void {
  const report = reporter(alert.resource);
  const { runbook: name, notifyOnly, path } = alert;
  if (name !== undefined && notifyOnly !== undefined) {
    report('error', 'runbook-and-notify-only', path, `${alert.alert} has both runbook and notifyOnly. Keep one.`);
    return;
  }
  if (name === undefined && notifyOnly === undefined)
    report(
      'error',
      'alert-without-runbook',
      path,
      `Nobody knows what to do about ${alert.alert}. Name its runbook, or say in notifyOnly why there is none.`,
    );
  if (name === undefined) return;
  const runbook = runbooks.get(name);
  const error = (rule: string, sentence: string) => report('error', rule, [...path, 'runbook'], sentence);
  if (!runbook) error('unknown-runbook', `There is no runbook ${name}.${didYouMean(name, runbooks.keys())}`);
  else if (!runbook.spec.triggers?.some((trigger) => trigger.alertName === alert.alert))
    error('runbook-not-triggered', `The runbook ${name} is not started by ${alert.alert}. Add it to its triggers.`);
  else if (!alert.labels.open)
    for (const label of labelsRead(runbook))
      if (!alert.labels.labels.has(label))
        error(
          'runbook-needs-label',
          `The runbook ${name} reads the label ${label}, which ${alert.alert} does not carry. Group by it, or add it to labels.`,
        );
}

/** Labels of the alert that a runbook reads anywhere. */
function labelsRead({ spec }: Runbook): Set<string> {
  const text = JSON.stringify({ ...spec, description: undefined });
  return new Set([...text.matchAll(/\balert\.labels\.([a-zA-Z_][a-zA-Z0-9_]*)/g)].map((m) => m[1] ?? ''));
}

function lintTemplates({ templates, labels, alert, resource }: DeclaredAlert, { reporter }: SloDocuments): void {
  if (labels.open) return;
  for (const { path, text } of templates)
    for (const found of text.matchAll(/\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)/g)) {
      const label = found[1] ?? '';
      if (!labels.labels.has(label))
        reporter(resource)(
          'error',
          'unknown-label',
          path,
          `${alert} has no label ${label}, so this stays empty.${didYouMean(label, labels.labels)}`,
          found.index,
        );
    }
}

/** Two documents that use one name for an alert would share its runbook, silences and incidents unseen. */
function lintNames(declared: readonly DeclaredAlert[], { reporter }: SloDocuments): void {
  const first = new Map<string, DeclaredAlert>();
  for (const alert of declared) {
    const earlier = first.get(alert.alert);
    if (!earlier) first.set(alert.alert, alert);
    else if (earlier.resource !== alert.resource)
      reporter(alert.resource)(
        'error',
        'duplicate-alert',
        alert.path,
        `${earlier.resource.kind}/${earlier.resource.metadata.name} has an alert named ${alert.alert}, too. Rename one of them.`,
      );
  }
}

function lintTriggers(runbook: Runbook, names: ReadonlySet<string>, { reporter }: SloDocuments): void {
  runbook.spec.triggers?.forEach(({ alertName }, i) => {
    if (alertName === undefined || names.has(alertName)) return;
    reporter(runbook)(
      'error',
      'runbook-without-alert',
      ['spec', 'triggers', i, 'alertName'],
      `No alert is named ${alertName}, so the runbook never starts.${didYouMean(alertName, names)}`,
    );
  });
}
