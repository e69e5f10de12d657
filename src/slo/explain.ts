/** SLOs and alert rules in words, for the person who reviews them or is woken by them. */
import { formatDuration } from '../catalog/duration.ts';
import type { AlertRule } from '../catalog/kinds/alert-rule.ts';
import { decimal, times, write } from './decimal.ts';
import { percent } from './rules.ts';
import type { Slo } from './slo.ts';

export interface SloExplanation {
  name: string;
  file: string;
  line: number;
  sentences: readonly string[];
}

export function explainSlo(slo: Slo): SloExplanation {
  const { name, resource, spec, objective, budget, window, by, indicator, pairs, threshold } = slo;
  const text = formatDuration(window);
  const { file, line } = resource.provenance;
  const sentences = [
    `${spec.title}: ${goodSentence(slo)}`,
    `${percent(objective)} of them have to be good in ${text}, so ${percent(budget)} may be bad${worth(slo)}.`,
    by.length === 0
      ? 'There is one budget.'
      : `There is a budget for each ${by.join(', ')}, at most ${spec.maxSeries ?? 100}.`,
  ];
  if (spec.interpolated)
    sentences.push('Not all of its numbers end a bucket: what is measured between two buckets is an estimate.');
  if (threshold)
    sentences.push(
      `${threshold.alert} (${threshold.severity}) fires when it is ${spec.threshold?.when} for ${threshold.for}: ${answer(threshold)}`,
    );
  for (const { factor, long, short, severity } of pairs)
    sentences.push(
      `${slo.burnAlert} (${severity}) fires when more than ${percent(times(decimal(factor), budget))} are bad over ${formatDuration(long)} and over ${formatDuration(short)}: ${factor} times the budget, which would last ${formatDuration(window / Number(factor), 60_000)}.`,
    );
  if (pairs.length > 0) sentences.push(`On a budget alert: ${answer(spec.burnRate ?? {})}`);
  sentences.push(
    slo.alertsWhenMissing
      ? 'When nothing is measured for half an hour, SLODataMissing fires.'
      : 'When nothing is measured, nothing is said.',
  );
  for (const { record, expr } of indicator.base) sentences.push(`${record} is ${expr}`);
  return { name, file, line, sentences };
}

function goodSentence({ spec, indicator }: Slo): string {
  if ('ratio' in spec.sli)
    return spec.sli.ratio.bad === undefined
      ? 'good events are counted among all.'
      : 'bad events are counted among all.';
  if ('latency' in spec.sli)
    return `a request is good when it is ${spec.sli.latency.target} (the bucket that ends at ${indicator.buckets?.target} ${indicator.unit}).`;
  return `a moment is good when the value is ${spec.sli.timeslice.target}.`;
}

/** What the budget is in time, where time is what is counted. */
function worth({ spec, budget, window }: Slo): string {
  if (!('timeslice' in spec.sli)) return '';
  const ms = Number(write(times(budget, decimal(String(window)))));
  return `, ${formatDuration(ms)}`;
}

function answer({ runbook, notifyOnly }: { runbook?: string | undefined; notifyOnly?: string | undefined }): string {
  return runbook === undefined ? (notifyOnly ?? 'nobody knows what to do.') : `the runbook ${runbook} starts.`;
}

export function explainAlert({ spec, metadata, provenance }: AlertRule): SloExplanation {
  return {
    name: metadata.name,
    file: provenance.file,
    line: provenance.line,
    sentences: [
      `${spec.alert} (${spec.severity}) fires when this has held for ${spec.for ?? '0s'}: ${spec.expr.trim()}`,
      `It says: ${spec.summary}`,
      `What is done: ${answer(spec)}`,
      spec.noData === 'Fires' ? 'Without any series it fires.' : 'Without any series it is silent.',
    ],
  };
}
