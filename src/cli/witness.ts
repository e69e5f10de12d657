/** What the commands below `catalyst-sre witness` print. */
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { type ColourChoice, formatOf, type Printable, printData, printList, wantsColour } from './printers/print.ts';
import { colourOf, safe } from './printers/table.ts';
import type { WitnessCommands } from './registry.ts';

interface Flags {
  config: string;
  output: string;
  color?: ColourChoice;
}

export async function check(
  flags: Flags & { witness?: string },
  commands: WitnessCommands,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const reports = await commands.check(flags.config, flags.witness, io);
  if (format === 'json' || format === 'yaml') await printData(io, { items: reports }, format);
  else {
    const colour = wantsColour(io, flags.color);
    const paint = (word: string) => (colour ? colourOf(word, word) : word);
    for (const { witness, results, latency, slow } of reports) {
      for (const { name, outcome, sentence } of results)
        io.out(`${safe(witness)}: ${paint(outcome)}: ${name}${sentence ? `: ${safe(sentence)}` : ''}`);
      const times = `half of the calls within ${Math.ceil(latency.p50)} ms, all within ${Math.ceil(latency.max)} ms`;
      io.out(
        `${safe(witness)}: ${paint(slow ? 'warning' : 'passed')}: ${times}${slow ? '; renewals will be repeated' : ''}`,
      );
    }
  }
  const failed = reports.filter(({ passed }) => !passed).map(({ witness }) => witness);
  io.err(failed.length === 0 ? 'Every witness can hold a lease.' : `Must not hold a lease: ${failed.join(', ')}.`);
  return failed.length === 0 ? exitCodes.done : exitCodes.verificationFailed;
}

const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value));
const field = (name: string) => (item: Record<string, unknown>) =>
  text((item.lease as Record<string, unknown> | undefined)?.[name]);
const leases: Printable = {
  singular: 'lease',
  nameOf: (item) => text(item.witness),
  columns: [
    { header: 'WITNESS', value: (item) => text(item.witness) },
    {
      header: 'HOLDER',
      value: (item) => (item.lease === null ? 'never held' : item.lease ? field('holder')(item) || 'released' : ''),
    },
    { header: 'EPOCH', value: field('epoch') },
    { header: 'SEQ', value: field('seq') },
    { header: 'EXPIRED', value: (item) => text(item.expired) },
    { header: 'TOOK', value: (item) => `${Math.ceil(Number(item.tookMs))}ms` },
    { header: 'ERROR', value: (item) => text(item.error) },
  ],
};

export async function get(group: string, flags: Flags, commands: WitnessCommands, io: CliIo): Promise<ExitCode> {
  const answers = await commands.get(flags.config, group, io);
  const options = { format: formatOf(flags.output), colour: wantsColour(io, flags.color) };
  await printList(io, leases, answers as unknown as Record<string, unknown>[], options);
  return answers.some(({ error }) => error !== undefined) ? exitCodes.failed : exitCodes.done;
}
