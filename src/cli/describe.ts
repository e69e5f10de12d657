/** `describe`: one thing with everything that belongs to it. */
import type { Client, Item } from './client.ts';
import { connect, type GetFlags, requireNoun } from './get.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { incidentRunbook, type Noun } from './nouns.ts';
import { printShifts } from './on-call.ts';
import { type ColourChoice, formatOf, type Printable, printData, wantsColour } from './printers/print.ts';
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

/** Everything that is shown of a thing. */
interface Described {
  item: Item;
  related: { title: string; noun: Noun; items: Item[] }[];
  runbooks: Item[] | undefined;
  shifts: Item[] | undefined;
  history: { title: string; entries: Item[] } | undefined;
}

export async function describe(
  word: string,
  names: readonly string[],
  flags: GetFlags & { color?: ColourChoice },
  io: CliIo,
): Promise<ExitCode> {
  const noun = requireNoun(word);
  const format = formatOf(flags.output);
  const client = await connect(flags, io);
  const colour = wantsColour(io, flags.color);
  const described: Described[] = [];
  for (const name of names) described.push(await readAll(noun, name, client));
  if (format === 'name') for (const { item } of described) io.out(`${noun.singular}/${noun.nameOf(item)}`);
  else if (format === 'json' || format === 'yaml') {
    const data = described.map(dataOf);
    await printData(io, data.length === 1 ? data[0] : { items: data }, format);
  } else
    for (const [i, one] of described.entries()) {
      if (i > 0) io.out('');
      await print(one, format === 'wide', colour, io);
    }
  return exitCodes.done;
}

async function readAll(noun: Noun, given: string, client: Client): Promise<Described> {
  const path = `${noun.path}/${encodeURIComponent(given)}`;
  const item = await client.get(path);
  const name = noun.nameOf(item);
  const beside = [];
  for (const { noun: other, by, title } of related[noun.singular] ?? []) {
    const rows = requireNoun(other);
    beside.push({ title, noun: rows, items: await client.list(rows.path, { [by]: name }, relatedLimit) });
  }
  const items = async (of: string) => (await client.get<{ items: Item[] }>(`${path}/${of}`)).items;
  const isIncident = noun.singular === 'incident';
  const told = isIncident ? 'Timeline' : noun.singular === 'run' ? 'Journal' : undefined;
  return {
    item,
    related: beside,
    runbooks: isIncident ? await items('runbooks') : undefined,
    shifts: noun.singular === 'on-call' ? await items('shifts') : undefined,
    history: told === undefined ? undefined : { title: told, entries: await items(told.toLowerCase()) },
  };
}

/** One document: the thing as `get` shows it, and what belongs to it under the names of its nouns. */
function dataOf({ item, related: beside, runbooks: ranked, shifts, history: told }: Described): Item {
  return {
    ...item,
    ...Object.fromEntries(beside.map(({ noun, items }) => [noun.plural, items])),
    ...(ranked ? { runbooks: ranked } : {}),
    ...(shifts ? { shifts } : {}),
    ...(told ? { [told.title.toLowerCase()]: told.entries } : {}),
  };
}

async function print({ item, ...described }: Described, wide: boolean, colour: boolean, io: CliIo): Promise<void> {
  const now = io.clock.now();
  const simple = Object.entries(item).filter(([, value]) => typeof value !== 'object' || value === null);
  const width = Math.max(...Object.keys(item).map((key) => titleOf(key).length)) + 2;
  for (const [key, value] of simple) io.out(`${`${titleOf(key)}:`.padEnd(width)} ${shown(key, value, now, colour)}`);
  for (const [key, value] of Object.entries(item)) {
    if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) continue;
    io.out(`${titleOf(key)}:`);
    await printData({ ...io, out: (text) => indent(text, io) }, value, 'yaml');
  }
  for (const { title, noun, items } of described.related) section(title, items, noun, { wide, colour }, io);
  if (described.runbooks) {
    section('Runbooks', described.runbooks, incidentRunbook, { wide, colour }, io);
    // Each with why; `runbook explain` says what one would do now.
    for (const { rank, name, sentence } of described.runbooks)
      io.out(`  ${safe(rank)}. ${safe(name)}: ${safe(sentence)}`);
  }
  if (described.shifts) printShifts(described.shifts, io);
  if (described.history) history(described.history.title, described.history.entries, io);
}

function section(
  title: string,
  items: readonly Item[],
  noun: Printable,
  look: { wide: boolean; colour: boolean },
  io: CliIo,
): void {
  io.out(`${title}:${items.length === 0 ? ' <none>' : ''}`);
  if (items.length === 0) return;
  for (const line of renderTable(noun.columns, items, { ...look, now: io.clock.now() }).lines) io.out(`  ${line}`);
}

function history(title: string, items: readonly Item[], io: CliIo): void {
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
