/** Commands on incidents and runs, and starting a run. */
import { CatalystError } from '../errors.ts';
import type { Client, Item } from './client.ts';
import type { ConnectionFlags } from './connection.ts';
import { connect } from './get.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { formatOf, printData } from './printers/print.ts';
import { safe } from './printers/table.ts';

export interface ActFlags extends ConnectionFlags {
  output?: string;
}

/** What is said of it afterwards: `incident/01j… acknowledged`. */
const verbed: Readonly<Record<string, string>> = {
  acknowledge: 'acknowledged',
  resolve: 'resolved',
  escalate: 'escalated',
  notes: 'noted',
  split: 'split off',
  approve: 'approved',
  reject: 'rejected',
  cancel: 'asked to stop',
};

export async function act(
  noun: 'incident' | 'run',
  verb: string,
  names: readonly string[],
  body: Item,
  flags: ActFlags,
  io: CliIo,
): Promise<ExitCode> {
  const client = await connect(flags, io);
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  for (const name of names) {
    const path = `/api/v1/${noun}s/${encodeURIComponent(name)}/${verb}`;
    const item = await client.post(path, Object.keys(given).length === 0 ? undefined : given);
    // A merge and a split answer with the incident that goes on, or is new.
    const what = verb === 'merge' ? `goes on with ${name}` : (verbed[verb] ?? verb);
    await tell(item, `${noun}/${String(item.id)}`, what, flags, io);
  }
  return exitCodes.done;
}

/** Prints the draft of a post-incident review, as Markdown. */
export async function review(id: string, flags: ConnectionFlags, io: CliIo): Promise<ExitCode> {
  const client = await connect(flags, io);
  const markdown = await client.text(`/api/v1/incidents/${encodeURIComponent(id)}/review`);
  // On a terminal nothing of it may act; its lines stay lines.
  io.out(markdown.trimEnd().split('\n').map(safeLine).join('\n'));
  return exitCodes.done;
}

/** Indentation stays. */
const safeLine = (line: string) => `${/^ */.exec(line)?.[0] ?? ''}${safe(line)}`;

async function tell(item: Item, name: string, what: string, flags: ActFlags, io: CliIo): Promise<void> {
  const format = formatOf(flags.output ?? 'table');
  if (format === 'json' || format === 'yaml') return printData(io, item, format);
  io.out(format === 'name' ? name : `${name} ${what}`);
}

export interface StartFlags extends ActFlags {
  dryRun?: boolean;
  set?: readonly string[];
  organization?: string;
  alert?: string;
  incident?: string;
  follow?: boolean;
}

export async function startRun(runbook: string, flags: StartFlags, io: CliIo): Promise<ExitCode> {
  const client = await connect(flags, io);
  const inputs = Object.fromEntries((flags.set ?? []).map(inputOf));
  // Following begins before the run does, so that nothing of it is missed.
  const ready = Promise.withResolvers<void>();
  const stop = new AbortController();
  const events = flags.follow
    ? client.events(undefined, AbortSignal.any([io.signal, stop.signal]), () => ready.resolve())
    : undefined;
  const first = events?.next();
  first?.catch(ready.reject);
  if (first) await ready.promise;
  const run = await client.post(`/api/v1/runbooks/${encodeURIComponent(runbook)}/runs`, {
    inputs,
    ...(flags.dryRun ? { dryRun: true } : {}),
    ...(flags.alert === undefined ? {} : { alertId: flags.alert }),
    ...(flags.incident === undefined ? {} : { incidentId: flags.incident }),
    ...(flags.organization === undefined ? {} : { organization: flags.organization }),
  });
  await tell(run, `run/${String(run.id)}`, flags.dryRun ? 'created (dry run)' : 'created', flags, io);
  if (!events || !first) return exitCodes.done;
  try {
    return await follow(String(run.id), first, events, client, io);
  } finally {
    stop.abort();
  }
}

/** `replicas=3` is a number, `fast=true` a bool, anything else text; quotes keep text: `tag="1"`. */
export function inputOf(text: string): [string, string | number | boolean] {
  const [, name, value = ''] = /^([a-zA-Z][a-zA-Z0-9]*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined)
    throw new CatalystError('BadRequest', `--set ${text} is not NAME=VALUE.`, { hint: 'Write --set replicas=3.' });
  if (/^(true|false)$/.test(value)) return [name, value === 'true'];
  if (/^-?[0-9]{1,15}$/.test(value)) return [name, Number(value)];
  return [name, /^"(.*)"$/s.exec(value)?.[1] ?? value];
}

/** Tells what happens, and ends as the run ends. */
async function follow(
  id: string,
  first: Promise<IteratorResult<{ data: Item | undefined }>>,
  events: AsyncGenerator<{ data: Item | undefined }>,
  client: Client,
  io: CliIo,
): Promise<ExitCode> {
  // A run that ends at once may have ended before the stream tells.
  for (let next = await first; !next.done; next = await events.next()) {
    const entry = next.value.data ?? {};
    if (entry.runId !== id) continue;
    io.err(`${String(entry.at)}  ${safe(entry.sentence)}`);
    if (entry.kind === 'run.ended') break;
  }
  const run = await client.get(`/api/v1/runs/${id}`);
  io.err(safe(run.sentence));
  if (run.state !== 'Ended') throw new CatalystError('Unavailable', `Run ${id} goes on; following it was interrupted.`);
  return exitCodeOf(run);
}

/** The exit code of a run that has ended. */
export function exitCodeOf(run: Item): ExitCode {
  switch (run.outcome) {
    case 'Succeeded':
    case 'Suggested':
      return exitCodes.done;
    case 'Refused':
      return exitCodes.refusedByGuard;
    default:
      return /verif/i.test(String(run.reason ?? '')) ? exitCodes.verificationFailed : exitCodes.failed;
  }
}
