/** `describe`: one thing with everything that belongs to it. */
import type { Client, Item } from './client.ts';
import { connect, type GetFlags, requireNoun } from './get.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { incidentRunbook, type Noun, nounOf } from './nouns.ts';
import { printShifts } from './on-call.ts';
import { type ColourChoice, type Printable, printData, wantsColour } from './printers/print.ts';
import { age, colourOf, renderTable, safe } from './printers/table.ts';

/** Related things shown: as many as fit a screen or two. */
const relatedLimit = 50;

/** What belongs to a thing: another noun, and the parameter that finds it. */
const related: Readonly<Record<string, readonly { noun: string; by: string; title: string }[]>> = {
  alert: [
    { noun: 'decisions', by: 'alertId', title: 'Decisions' },
    { noun: 'runs', by: 'alertId', title: 'Runs' },
  ],
  incident: [
    { noun: 'alerts', by: 'incidentId', title: 'Alerts' },
    { noun: 'runs', by: 'incidentId', title: 'Runs' },
    { noun: 'pages', by: 'incidentId', title: 'Pages' },
  ],
  run: [
    { noun: 'decisions', by: 'runId', title: 'Decided by' },
    { noun: 'approvals', by: 'runId', title: 'Approvals' },
  ],
  runbook: [{ noun: 'runs', by: 'runbook', title: 'Recent runs' }],
};

export async function describe(
  word: string,
  names: readonly string[],
  flags: GetFlags & { color?: ColourChoice },
  io: CliIo,
): Promise<ExitCode> {
  const noun = requireNoun(word);
  const client = await connect(flags, io);
  const colour = wantsColour(io, flags.color);
  for (const [i, name] of names.entries()) {
    const item = await client.get(`${noun.path}/${encodeURIComponent(name)}`);
    if (i > 0) io.out('');
    await describeItem(noun, item, client, colour, io);
  }
  return exitCodes.done;
}

async function describeItem(noun: Noun, item: Item, client: Client, colour: boolean, io: CliIo): Promise<void> {
  const now = io.clock.now();
  const simple = Object.entries(item).filter(([, value]) => typeof value !== 'object' || value === null);
  const width = Math.max(...Object.keys(item).map((key) => titleOf(key).length)) + 2;
  for (const [key, value] of simple) io.out(`${`${titleOf(key)}:`.padEnd(width)} ${shown(key, value, now, colour)}`);
  for (const [key, value] of Object.entries(item)) {
    if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) continue;
    io.out(`${titleOf(key)}:`);
    await printData({ ...io, out: (text) => indent(text, io) }, value, 'yaml');
  }
  const name = noun.nameOf(item);
  for (const { noun: other, by, title } of related[noun.singular] ?? []) {
    const rows = nounOf(other);
    if (!rows) continue;
    section(title, await client.list(rows.path, { [by]: name }, relatedLimit), rows, colour, io);
  }
  if (noun.singular === 'incident') await runbooks(`${noun.path}/${name}/runbooks`, client, colour, io);
  if (noun.singular === 'incident') await history('Timeline', `${noun.path}/${name}/timeline`, client, io);
  if (noun.singular === 'on-call') await printShifts(name, client, io);
  if (noun.singular === 'run') await history('Journal', `${noun.path}/${name}/journal`, client, io);
}

/** The runbooks for an incident, best first, each with why; `runbook explain` says what one would do now. */
async function runbooks(path: string, client: Client, colour: boolean, io: CliIo): Promise<void> {
  const { items } = await client.get<{ items: Item[] }>(path);
  section('Runbooks', items, incidentRunbook, colour, io);
  for (const item of items) io.out(`  ${safe(item.rank)}. ${safe(item.name)}: ${safe(item.sentence)}`);
}

function section(title: string, items: readonly Item[], noun: Printable, colour: boolean, io: CliIo): void {
  io.out(`${title}:${items.length === 0 ? ' <none>' : ''}`);
  if (items.length === 0) return;
  for (const line of renderTable(noun.columns, items, { wide: false, colour, now: io.clock.now() }).lines)
    io.out(`  ${line}`);
}

async function history(title: string, path: string, client: Client, io: CliIo): Promise<void> {
  const { items } = await client.get<{ items: Item[] }>(path);
  io.out(`${title}:${items.length === 0 ? ' <none>' : ''}`);
  for (const entry of items)
    io.out(
      `  ${String(entry.at)}  ${String(entry.kind).padEnd(22)}  ${safe(entry.sentence ?? entry.data)}${entry.actor === undefined ? '' : ` (${safe(entry.actor)})`}`,
    );
}

function indent(text: string, io: CliIo): void {
  for (const line of text.split('\n')) io.out(`  ${safe(line) === '' ? '' : line.replaceAll(/\p{Cc}/gu, ' ')}`);
}

function shown(key: string, value: unknown, now: number, colour: boolean): string {
  const text = safe(value) || '<none>';
  if (/(At|Seen|^at)$/.test(key) && typeof value === 'string') return `${text} (${age(value, now)} ago)`;
  return colour ? colourOf(text, text) : text;
}

/** `acknowledgedBy` -> `Acknowledged By` */
function titleOf(key: string): string {
  const words = key.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
