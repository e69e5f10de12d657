/** `audit verify`: recomputes the record's chain on the server. */
import type { ConnectionFlags } from './connection.ts';
import { connect } from './get.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { formatOf, printData } from './printers/print.ts';

interface Verdict {
  intact: boolean;
  entries: number;
  head?: string;
  brokenAt?: number;
  sentence?: string;
}

export async function auditVerify(flags: ConnectionFlags & { output: string }, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const client = await connect(flags, io);
  const verdict = await client.get<Verdict>('/api/v1/record/verify');
  if (format === 'json' || format === 'yaml') await printData(io, verdict, format);
  else if (verdict.intact) io.out(`The record is intact: ${verdict.entries} entries, head ${verdict.head}.`);
  else io.out(`The record is broken at entry ${verdict.brokenAt}: ${verdict.sentence}`);
  if (!verdict.intact) io.err('Keep a copy of the database as it is, and compare it with a backup.');
  return verdict.intact ? exitCodes.done : exitCodes.verificationFailed;
}
