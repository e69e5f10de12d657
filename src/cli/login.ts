/** `login`: a link that opens the console as who the token stands for, once. `link-key replace`: what ends all other links. */
import { type ConnectionFlags, resolveConnection } from './connection.ts';
import { connect } from './get.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { formatOf, printData } from './printers/print.ts';

export async function login(flags: ConnectionFlags & { output: string; person: string }, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const [client, { server }] = [await connect(flags, io), await resolveConnection(flags, io)];
  const { path, expiresAt } = await client.post('/api/v1/login-links', { person: flags.person });
  const url = `${server}${path}`;
  if (format === 'json' || format === 'yaml') await printData(io, { url, expiresAt }, format);
  else io.out(url);
  io.err(`It works once, until ${expiresAt}.`);
  return exitCodes.done;
}

export async function replaceLinkKey(flags: ConnectionFlags & { output: string }, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const answer = await (await connect(flags, io)).post('/api/v1/link-key/replace');
  if (format === 'json' || format === 'yaml') await printData(io, answer, format);
  else io.out('link-key replaced');
  io.err('Links in pages sent before and addresses of calendars are worth nothing from now on.');
  return exitCodes.done;
}
