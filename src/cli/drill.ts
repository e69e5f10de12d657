/** `drill`: a fault on purpose, and live what is done about it; at the end what it showed. */
import type { DrillRun } from '../api/ports.ts';
import { CatalystError } from '../errors.ts';
import { Client } from './client.ts';
import { type Connection, type ConnectionFlags, resolveConnection } from './connection.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import type { OfflineFlags } from './offline.ts';
import { formatOf, printData, wantsColour } from './printers/print.ts';
import { colourOf, duration, renderTable, safe } from './printers/table.ts';
import type { DrillEvent, DrillResult, Registry } from './registry.ts';

export interface DrillFlags extends OfflineFlags, ConnectionFlags {
  alone?: boolean;
  /** Of failover drills. */
  speed?: number;
}
type Offered = Required<Pick<Registry, 'listDrills' | 'runDrill'>> & Pick<Registry, 'isFailoverDrill'>;

/** How often a server is asked how its drill goes, ms. */
const askEvery = 250;

export async function drill(name: string, flags: DrillFlags, offered: Offered, io: CliIo): Promise<ExitCode> {
  if (name === 'list') return list(flags, offered, io);
  // Two regions and a witness are processes of their own, wherever a sandbox may run.
  const local = flags.alone || (await offered.isFailoverDrill?.(name));
  const server = local ? undefined : await serverWithDrills(flags, io);
  if (server) io.err(`On the sandbox at ${server.connection.server}; --alone makes one for this drill.`);
  const stage = server
    ? (tell: Tell) => onServer(name, server.client, tell, io)
    : (tell: Tell) => offered.runDrill(name, tell, io.signal, flags.speed === undefined ? {} : { speed: flags.speed });
  const format = formatOf(flags.output);
  const asData = format === 'json' || format === 'yaml';
  const colour = wantsColour(io, flags.color);
  // Data is the result; the way there is a message.
  const result = await stage((event) => (asData ? io.err : io.out)(lineOf(event, colour)));
  if (asData) await printData(io, { drill: name, ...result }, format);
  else for (const line of summaryOf(name, result, colour)) io.out(line);
  if (result.passed) return exitCodes.done;
  return result.refusedBy === undefined ? exitCodes.verificationFailed : exitCodes.refusedByGuard;
}

type Tell = (event: DrillEvent) => void;

/** The server that is named, or the sandbox that runs in this folder; undefined where neither offers drills. */
async function serverWithDrills(
  flags: DrillFlags,
  io: CliIo,
): Promise<{ client: Client; connection: Connection } | undefined> {
  const named = flags.server !== undefined || io.environment.CATALYST_SRE_SERVER !== undefined;
  try {
    const connection = await resolveConnection(flags, io);
    const client = new Client(connection, io);
    await client.get('/api/v1/drills');
    return { client, connection };
  } catch (error) {
    // Whoever names a server means it; a sandbox that was stopped, or a Sovereign that offers none, is not the place.
    if (named) throw error;
    return undefined;
  }
}

async function onServer(name: string, client: Client, tell: Tell, io: CliIo): Promise<DrillResult> {
  const path = `/api/v1/drills/${encodeURIComponent(name)}`;
  await client.post(path);
  for (let told = 0; ; ) {
    const run = await client.get<DrillRun>(path);
    for (const event of run.events.slice(told)) tell(event);
    told = run.events.length;
    if (run.result) return run.result;
    if (run.state !== 'Running')
      throw new CatalystError('UpstreamRefused', `The drill ${name} ended without a result.`);
    await io.clock.sleep(askEvery, io.signal);
  }
}

async function list(flags: DrillFlags, { listDrills }: Offered, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const drills = await listDrills();
  if (format === 'json' || format === 'yaml') await printData(io, { items: drills }, format);
  else if (format === 'name') for (const { name } of drills) io.out(`drill/${name}`);
  else {
    const columns = ['name', 'description'].map((key) => ({
      header: key.toUpperCase(),
      value: (item: Record<string, unknown>) => String(item[key]),
    }));
    const options = { wide: true, colour: false, now: io.clock.now() };
    for (const line of renderTable(columns, [...drills] as Record<string, unknown>[], options).lines) io.out(line);
  }
  return exitCodes.done;
}

/** A mark for each kind of event: what is done to the Sovereign stands out from what it does about it. */
const marks: Record<DrillEvent['kind'], string> = {
  fault: '✗',
  alert: '!',
  incident: '●',
  decision: '?',
  fact: '=',
  action: '→',
  verification: '✓',
  page: '✉',
  note: '·',
  problem: '✗',
};

/** Time since the start, what kind, what happened. */
function lineOf({ at, kind, sentence }: DrillEvent, colour: boolean): string {
  const time = `+${(at / 1000).toFixed(1)}s`.padStart(8);
  const word = kind === 'fault' || kind === 'problem' ? 'failed' : kind === 'verification' ? 'passed' : '';
  const label = `${marks[kind]} ${kind.padEnd(12)}`;
  return `${time}  ${colour ? colourOf(word, label) : label} ${safe(sentence)}`;
}

function summaryOf(name: string, { passed, sentence, took, measured }: DrillResult, colour: boolean): string[] {
  const word = passed ? 'passed' : 'failed';
  const time = took < 10_000 ? `${(took / 1000).toFixed(1)}s` : duration(took);
  const width = Math.max(0, ...Object.keys(measured).map((key) => key.length));
  return [
    '',
    `${safe(name)} ${colour ? colourOf(word, word) : word} in ${time}: ${safe(sentence)}`,
    ...Object.entries(measured).map(([key, value]) => `  ${safe(key).padEnd(width)}  ${safe(value)}`),
  ];
}
