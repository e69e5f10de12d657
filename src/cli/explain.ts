/**
 * `runbook explain`: what runbooks do, in words; and what would be done about an alert now, with every fact's value and
 * age, asked of a server, or of a world that is given.
 */
import { resolve } from 'node:path';
import { CatalystError } from '../errors.ts';
import type { ExplanationView } from '../run/explain.ts';
import { inputOf } from './act.ts';
import type { ConnectionFlags } from './connection.ts';
import { connect } from './get.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { explain as explainInWords, type OfflineFlags } from './offline.ts';
import { formatOf, printData, wantsColour } from './printers/print.ts';
import { colourOf, renderTable, safe } from './printers/table.ts';
import type { Registry } from './registry.ts';

export interface ExplainFlags extends ConnectionFlags, OfflineFlags {
  alert?: string;
  labels?: readonly string[];
  set?: readonly string[];
  organization?: string;
  given?: string;
  config?: string;
}

type Offered = Required<Pick<Registry, 'explainRunbooks' | 'explainAlert'>>;

export async function explain(
  what: readonly string[],
  flags: ExplainFlags,
  offered: Offered,
  io: CliIo,
): Promise<ExitCode> {
  const { given, config, alert, organization } = flags;
  const labels = flags.labels === undefined ? undefined : labelsOf(flags.labels);
  const inputs = Object.fromEntries((flags.set ?? []).map(inputOf));
  if (given !== undefined || config !== undefined) {
    if (alert !== undefined)
      throw new CatalystError(
        'BadRequest',
        '--alert names an alert of a server; it does not go with --given or --config.',
        {
          hint: 'Describe the alert with --labels, or in the file of --given.',
        },
      );
    const at = (file: string | undefined) => file && resolve(io.directory, file);
    const view = await offered.explainAlert(
      what,
      { labels, inputs, given: at(given), config: at(config), organization },
      io.signal,
    );
    return print(view, flags, io);
  }
  if (alert === undefined && labels === undefined) {
    if (what.length === 0)
      throw new CatalystError('BadRequest', 'There is nothing to explain.', {
        hint: 'Give files or folders; or --alert ID, or --labels alertname=NAME, to ask a server.',
      });
    return explainInWords(what, flags, offered.explainRunbooks, io);
  }
  const [runbook, ...more] = what;
  if (more.length > 0)
    throw new CatalystError('BadRequest', 'A server explains one runbook at a time.', {
      hint: 'Give the name of one, or of none.',
    });
  const client = await connect(flags, io);
  const body = { alertId: alert, labels, runbook, organization, ...(flags.set ? { inputs } : {}) };
  const view = await client.post(
    '/api/v1/explanations',
    Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)),
  );
  return print(view as unknown as ExplanationView, flags, io);
}

/** `alertname=X,severity=critical`, given once or several times. Quotes keep a comma: `summary="a,b"`. */
export function labelsOf(texts: readonly string[]): Record<string, string> {
  const labels: [string, string][] = [];
  for (const text of texts) {
    const pattern = /\s*([^=,\s]+)=(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)/gy;
    let end = 0;
    for (let found = pattern.exec(text); found; found = pattern.exec(text)) {
      labels.push([found[1] ?? '', found[2]?.replaceAll(/\\(.)/g, '$1') ?? (found[3] ?? '').trim()]);
      end = pattern.lastIndex;
      if (end === text.length) break;
    }
    if (end !== text.length)
      throw new CatalystError('BadRequest', `--labels ${text} is not NAME=VALUE.`, {
        hint: 'Write --labels alertname=OpenBaoSealed,severity=critical.',
      });
  }
  return Object.fromEntries(labels);
}

const verdicts: Readonly<Record<ExplanationView['verdict'], { words: string; colour: string }>> = {
  Acts: { words: 'It would act.', colour: 'passed' },
  AsksForApproval: { words: 'It would ask for approval.', colour: 'warning' },
  Suggests: { words: 'It would only suggest.', colour: 'warning' },
  Waits: { words: 'It would wait.', colour: 'warning' },
  Refuses: { words: 'It would not act.', colour: 'failed' },
  NoRunbook: { words: 'Nothing would be done.', colour: 'failed' },
};

async function print(view: ExplanationView, flags: OfflineFlags, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  if (format === 'json' || format === 'yaml') await printData(io, view, format);
  else if (format === 'name') io.out(`runbook/${view.preview?.runbook ?? '<none>'}`);
  else for (const line of linesOf(view, wantsColour(io, flags.color), format === 'wide')) io.out(line);
  // What a guard would refuse is an answer, and the question was answered.
  return exitCodes.done;
}

function linesOf(view: ExplanationView, colour: boolean, wide: boolean): string[] {
  const { alert, preview, considered } = view;
  const { words, colour: word } = verdicts[view.verdict];
  const lines = [];
  const field = (title: string, text: string) => lines.push(`${`${title}:`.padEnd(13)} ${safe(text)}`);
  if (alert) {
    const { alertname: _name, ...labels } = alert.labels;
    const shown = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    field('Alert', `${alert.name}${shown.length > 0 ? ` {${shown.join(', ')}}` : ''}`);
  }
  lines.push(`Verdict:      ${colour ? colourOf(word, words) : words} ${view.reason}: ${safe(view.sentence)}`);
  for (const { runbook, sentence } of considered) field('Considered', `${runbook}: ${sentence}`);
  if (!preview) return lines;
  field('Runbook', `${preview.runbook}, in the mode ${preview.mode}`);
  field('Still fires', preview.confirmation || 'not asked');
  if (preview.target) {
    const { kind, namespace, name, uid } = preview.target;
    field('Target', `${kind} ${namespace ? `${namespace}/` : ''}${name} (uid ${uid})`);
  }
  for (const { reason, sentence } of preview.obstacles.slice(1)) field('Also', `${reason}: ${sentence}`);
  lines.push(...section('Facts', factTable(view, wide)));
  const mark = (good: boolean) => (good ? '✓' : '✗');
  lines.push(
    ...section(
      'Preconditions',
      preview.preconditions.map(
        ({ source, value, error }) => `${mark(value === true)} ${source}: ${error ?? JSON.stringify(value)}`,
      ),
    ),
    ...section(
      'Guards',
      preview.guards.map(({ guard, verdict, sentence }) => `${mark(verdict !== 'Block')} ${guard}: ${sentence}`),
    ),
    ...section(
      'Plan',
      preview.plan.map(
        ({ index, kind, sentence, effect, skipped }) =>
          `${index + 1}. ${kind.padEnd(7)} ${skipped ? '(skipped) ' : ''}${sentence}${effect ? ` [${effect}]` : ''}`,
      ),
    ),
  );
  return lines;
}

function section(title: string, rows: readonly string[]): string[] {
  return rows.length === 0 ? [] : [`${title}:`, ...rows.map((row) => `  ${safe(row)}`)];
}

/** Each fact with its value and how old that was when the verdict was given. */
function factTable({ preview, at }: ExplanationView, wide: boolean): string[] {
  if (!preview || preview.readings.length === 0) return [];
  const columns = [
    { header: 'FACT', value: (item: Record<string, unknown>) => String(item.fact) },
    {
      header: 'VALUE',
      value: (item: Record<string, unknown>) =>
        item.error === undefined ? JSON.stringify(item.value) : `unknown: ${item.error}`,
    },
    { header: 'READ', value: (item: Record<string, unknown>) => String(item.at), wide: true },
    { header: 'TOOK', value: (item: Record<string, unknown>) => `${item.took}ms` },
    {
      header: 'AGE',
      value: (item: Record<string, unknown>) =>
        `${(Math.max(0, Date.parse(at) - Date.parse(String(item.at))) / 1000).toFixed(1)}s`,
    },
  ];
  return renderTable(columns, preview.readings as unknown as Record<string, unknown>[], { wide, colour: false, now: 0 })
    .lines;
}
