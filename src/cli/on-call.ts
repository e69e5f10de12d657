/** Who is on call, as a calendar and as the shifts to come. */
import type { Item } from './client.ts';
import { type ConnectionFlags, resolveConnection } from './connection.ts';
import { connect } from './get.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { renderTable } from './printers/table.ts';

export interface ScheduleFlags extends ConnectionFlags {
  organization?: string;
  person?: string;
}

/** Writes the calendar to standard output. */
export async function exportCalendar(name: string, flags: ScheduleFlags, io: CliIo): Promise<ExitCode> {
  const client = await connect(flags, io);
  const { organization, person } = flags;
  const calendar = await client.text(`/api/v1/on-call/${encodeURIComponent(name)}.ics`, { organization, person });
  // A line of a calendar ends with CR LF, and the LF is added on the way out.
  io.out(calendar.replace(/\n$/, ''));
  return exitCodes.done;
}

/** Prints the address at which a calendar program follows the schedule. */
export async function calendarFeed(name: string, flags: ScheduleFlags, io: CliIo): Promise<ExitCode> {
  const [client, { server }] = [await connect(flags, io), await resolveConnection(flags, io)];
  const { organization, person } = flags;
  const { path } = await client.get(`/api/v1/on-call/${encodeURIComponent(name)}/feed`, { organization });
  const url = new URL(String(path), server);
  if (person !== undefined) url.searchParams.set('person', person);
  io.out(url.href);
  io.err('Whoever has this address can read the calendar, without logging in.');
  return exitCodes.done;
}

/** The shifts of the next four weeks, for `describe`. */
export function printShifts(items: readonly Item[], io: CliIo): void {
  io.out(`Shifts:${items.length === 0 ? ' <none>' : ''}`);
  if (items.length === 0) return;
  const columns = ['from', 'to', 'person', 'by'].map((key) => ({
    header: key.toUpperCase(),
    value: (item: Item) => String(item[key]),
  }));
  for (const line of renderTable(columns, items, { wide: false, colour: false, now: io.clock.now() }).lines)
    io.out(`  ${line}`);
}
