/** `get`: lists and items of every noun, once or as they change. */
import { CatalystError } from '../errors.ts';
import { Client, type Item } from './client.ts';
import { type ConnectionFlags, resolveConnection } from './connection.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { type FilterFlag, type Noun, nounOf, nouns } from './nouns.ts';
import { type ColourChoice, formatOf, printData, printItem, printList, wantsColour } from './printers/print.ts';
import { renderTable } from './printers/table.ts';

export interface GetFlags extends ConnectionFlags, Partial<Record<FilterFlag, string>> {
  output: string;
  color?: ColourChoice;
  watch?: boolean;
  limit: string;
}

export function requireNoun(word: string): Noun {
  const noun = nounOf(word);
  if (!noun)
    throw new CatalystError('BadRequest', `There is nothing called ${word}.`, {
      hint: `It is one of: ${nouns.map((known) => known.plural).join(', ')}.`,
    });
  return noun;
}

export async function connect(flags: ConnectionFlags, io: CliIo): Promise<Client> {
  return new Client(await resolveConnection(flags, io), io);
}

export async function get(word: string, names: readonly string[], flags: GetFlags, io: CliIo): Promise<ExitCode> {
  const noun = requireNoun(word);
  const format = formatOf(flags.output);
  const look = { format, colour: wantsColour(io, flags.color) };
  const client = await connect(flags, io);
  if (flags.watch) return watch(noun, names, flags, look, client, io);
  const [only] = names;
  if (only !== undefined && names.length === 1) {
    await printItem(io, noun, await client.get(`${noun.path}/${encodeURIComponent(only)}`), look);
    return exitCodes.done;
  }
  const items =
    names.length > 0
      ? await Promise.all(names.map((name) => client.get(`${noun.path}/${encodeURIComponent(name)}`)))
      : await client.list(noun.path, queryOf(noun, flags), limitOf(flags.limit));
  await printList(io, noun, items, look);
  return exitCodes.done;
}

export function queryOf(noun: Noun, flags: GetFlags): Record<string, string | undefined> {
  const query: Record<string, string | undefined> = {};
  for (const flag of [
    'by',
    'window',
    'state',
    'severity',
    'outcome',
    'runbook',
    'name',
    'incident',
    'alert',
    'run',
  ] as const) {
    const value = flags[flag];
    if (value === undefined) continue;
    const parameter = noun.filters[flag];
    if (parameter === undefined)
      throw new CatalystError('BadRequest', `${noun.plural} cannot be filtered by --${flag}.`, {
        hint: `They can be by: ${
          Object.keys(noun.filters)
            .map((known) => `--${known}`)
            .join(', ') || 'nothing'
        }.`,
      });
    query[parameter] = value;
  }
  return query;
}

function limitOf(text: string): number {
  const limit = Number(text);
  // Ten thousand rows are more than anybody reads, and 50 requests.
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
    throw new CatalystError('BadRequest', '--limit is a whole number from 1 to 10000.');
  return limit;
}

type Look = { format: ReturnType<typeof formatOf>; colour: boolean };

/** The list as it stands, then a row for each change. */
async function watch(
  noun: Noun,
  names: readonly string[],
  flags: GetFlags,
  look: Look,
  client: Client,
  io: CliIo,
): Promise<ExitCode> {
  const query = queryOf(noun, flags);
  const wanted = (item: Item) =>
    (names.length === 0 || names.includes(noun.nameOf(item))) &&
    Object.entries(query).every(([key, value]) => String(item[key]) === value);
  let widths: number[] = [];
  const ready = Promise.withResolvers<void>();
  const initial = ready.promise.then(async () => {
    const items = (await client.list(noun.path, query, limitOf(flags.limit))).filter(wanted);
    if (look.format === 'table' || look.format === 'wide') widths = await printList(io, noun, items, look);
    else for (const item of items) await printOne(item);
  });
  // When the list cannot be had there is nothing to follow either.
  const listFailed = new AbortController();
  initial.catch((error: unknown) => listFailed.abort(error));
  const printOne = async (item: Item) => {
    // One document a line: what reads a stream of JSON expects it so.
    if (look.format === 'json') io.out(JSON.stringify(item));
    else if (look.format === 'yaml') {
      io.out('---');
      await printData(io, item, 'yaml');
    } else if (look.format === 'name') io.out(`${noun.singular}/${noun.nameOf(item)}`);
    else {
      const options = { wide: look.format === 'wide', colour: look.colour, now: io.clock.now(), widths };
      const table = renderTable(noun.columns, [item], { ...options, header: widths.length === 0 });
      widths = table.widths;
      for (const line of table.lines) io.out(line);
    }
  };
  const signal = AbortSignal.any([io.signal, listFailed.signal]);
  for await (const event of client.events(undefined, signal, () => ready.resolve())) {
    await initial;
    const entry = event.data ?? {};
    if (!noun.watch.kinds.some((kind) => String(entry.kind).startsWith(kind))) continue;
    for (const item of await changed(noun, entry, client)) if (wanted(item)) await printOne(item);
  }
  listFailed.signal.throwIfAborted();
  return exitCodes.done;
}

/** The items an entry of the record tells of, as they are now. */
async function changed(noun: Noun, entry: Item, client: Client): Promise<Item[]> {
  if (noun.plural === 'record') return [entry];
  // An entry that names no item tells of a new one.
  if (noun.watch.newest) return client.list(noun.path, {}, 1);
  const found: Item[] = [];
  for (const id of noun.watch.ids(entry)) {
    if (id === undefined) continue;
    try {
      if (noun.watch.query) found.push(...(await client.list(noun.path, { [noun.watch.query]: id }, 1)));
      else found.push(await client.get(`${noun.path}/${encodeURIComponent(id)}`));
    } catch (error) {
      // Gone, or not ours to see.
      if (!(error instanceof CatalystError && error.code === 'NotFound')) throw error;
    }
  }
  return found;
}
