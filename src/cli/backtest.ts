/** `runbook backtest`: what runbooks would have done, counted, listed, or compared with what others would have. */
import { resolve } from 'node:path';
import { CatalystError } from '../errors.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import type { OfflineFlags } from './offline.ts';
import { formatOf, printData, wantsColour } from './printers/print.ts';
import { type Column, colourOf, renderTable } from './printers/table.ts';
import type { BacktestReport, Registry, ReplayedView } from './registry.ts';

export interface BacktestFlags extends OfflineFlags {
  from?: readonly string[];
  prometheus?: string;
  since: string;
  step: string;
  against?: string;
  config?: string;
  budgetSpent?: string;
}

export async function backtest(
  paths: readonly string[],
  flags: BacktestFlags,
  run: NonNullable<Registry['backtestRunbooks']>,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const at = (file: string) => (file === '-' ? file : resolve(io.directory, file));
  const { prometheus, since, step, against, config } = flags;
  const question = {
    from: (flags.from ?? []).map(at),
    prometheus,
    since,
    step,
    against,
    config: config && at(config),
    budgetSpent: flags.budgetSpent === undefined ? undefined : shareOf(flags.budgetSpent),
  };
  const report = await run(paths, question, io.signal);
  if (format === 'json' || format === 'yaml') await printData(io, report, format);
  else for (const line of linesOf(report, format === 'wide', wantsColour(io, flags.color))) io.out(line);
  for (const sentence of [...report.problems, ...report.assumptions]) io.err(sentence);
  return exitCodes.done;
}

function shareOf(text: string): number {
  const share = Number(text);
  if (text.trim() !== '' && share >= 0 && Number.isFinite(share)) return share;
  throw new CatalystError('BadRequest', `--budget-spent ${text} is not a share.`, { hint: 'Write 0.85 for 85 %.' });
}

type Row = Record<string, unknown>;
const field = (header: string, key: string): Column => ({ header, value: (item: Row) => String(item[key] ?? '') });

function linesOf(report: BacktestReport, wide: boolean, colour: boolean): string[] {
  const { firings, changes } = report;
  const options = { wide: true, colour: false, now: 0 };
  const lines = [
    `${firings.length} firings in ${report.sightings} reports${report.from === undefined ? '' : `, from ${report.from} to ${report.to}`}: ${summary(firings)}.`,
  ];
  if (wide) lines.push('', ...renderTable(firingColumns, firings as unknown as Row[], options).lines);
  else if (firings.length > 0) lines.push('', ...renderTable(countColumns, countsOf(firings), options).lines);
  if (!changes) return lines;
  lines.push(
    '',
    changes.length === 0 ? 'The other runbooks would have done the same.' : `${changes.length} firings differ:`,
  );
  for (const { before, after } of changes) {
    const minus = `- ${sayDone(before)}`;
    const plus = `+ ${sayDone(after)}`;
    lines.push(
      `${after.at}  ${after.alert} ${labelText(after)}`,
      `  ${colour ? colourOf('failed', minus) : minus}`,
      `  ${colour ? colourOf('passed', plus) : plus}`,
    );
  }
  return lines;
}

/** would have acted 41 times; 9 blocked by Cooldown, 3 by BudgetExhausted */
function summary(firings: readonly ReplayedView[]): string {
  const count = (outcome: ReplayedView['outcome']) => firings.filter((firing) => firing.outcome === outcome).length;
  const reasons = new Map<string, number>();
  for (const { outcome, reason } of firings)
    if (outcome === 'WouldNotAct') reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const parts = [`would have acted ${count('WouldAct')} times`];
  if (count('WouldAsk') > 0) parts.push(`asked ${count('WouldAsk')} times`);
  if (count('WouldSuggest') > 0) parts.push(`suggested ${count('WouldSuggest')} times`);
  const not = [...reasons].sort((a, b) => b[1] - a[1]).map(([reason, times]) => `${times} ${reason}`);
  return `${parts.join(', ')}${not.length > 0 ? `; not acted: ${not.join(', ')}` : ''}`;
}

const countColumns: Column[] = [
  field('ALERT', 'alert'),
  field('RUNBOOK', 'runbook'),
  field('OUTCOME', 'outcome'),
  field('REASON', 'reason'),
  field('TIMES', 'times'),
];

function countsOf(firings: readonly ReplayedView[]): Row[] {
  const counts = new Map<string, Row & { times: number }>();
  for (const { alert, runbook, outcome, reason } of firings) {
    const key = JSON.stringify([alert, runbook, outcome, reason]);
    const row = counts.get(key) ?? { alert, runbook, outcome, reason, times: 0 };
    counts.set(key, { ...row, times: row.times + 1 });
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

const firingColumns: Column[] = [
  field('AT', 'at'),
  field('ALERT', 'alert'),
  field('RUNBOOK', 'runbook'),
  field('OUTCOME', 'outcome'),
  field('REASON', 'reason'),
  field('TARGET', 'target'),
  field('SENTENCE', 'sentence'),
];

const sayDone = ({ outcome, reason, runbook }: ReplayedView) =>
  `${outcome} ${reason}${runbook === undefined ? '' : ` (${runbook})`}`;

function labelText({ labels }: ReplayedView): string {
  const { alertname: _name, ...rest } = labels;
  return `{${Object.entries(rest)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(', ')}}`;
}
