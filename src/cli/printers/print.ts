/** One list or item, in the format that was asked for. */
import { CatalystError } from '../../errors.ts';
import type { CliIo } from '../io.ts';
import { type Column, renderTable } from './table.ts';

export const formats = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Format = (typeof formats)[number];

export function formatOf(text: string): Format {
  const format = formats.find((known) => known === text);
  if (!format) throw new CatalystError('BadRequest', `-o ${text} is not known; it is one of ${formats.join(', ')}.`);
  return format;
}

export type ColourChoice = 'auto' | 'always' | 'never';

/** NO_COLOR (no-color.org) and a dumb terminal mean no colour, unless it is asked for. */
export function wantsColour(io: CliIo, choice: ColourChoice = 'auto'): boolean {
  if (choice !== 'auto') return choice === 'always';
  return io.terminal && !io.environment.NO_COLOR && io.environment.TERM !== 'dumb';
}

export interface Printable {
  singular: string;
  columns: readonly Column[];
  nameOf(item: Record<string, unknown>): string;
}

export async function printList(
  io: CliIo,
  noun: Printable,
  items: readonly Record<string, unknown>[],
  options: { format: Format; colour: boolean },
): Promise<number[]> {
  if (options.format === 'json' || options.format === 'yaml') await printData(io, { items }, options.format);
  else if (options.format === 'name') for (const item of items) io.out(`${noun.singular}/${noun.nameOf(item)}`);
  else if (items.length === 0) io.err('Nothing found.');
  else {
    const { lines, widths } = renderTable(noun.columns, items, {
      wide: options.format === 'wide',
      colour: options.colour,
      now: io.clock.now(),
    });
    for (const line of lines) io.out(line);
    return widths;
  }
  return [];
}

export async function printItem(
  io: CliIo,
  noun: Printable,
  item: Record<string, unknown>,
  options: { format: Format; colour: boolean },
): Promise<void> {
  if (options.format === 'json' || options.format === 'yaml') await printData(io, item, options.format);
  else await printList(io, noun, [item], options);
}

export async function printData(io: CliIo, data: unknown, format: 'json' | 'yaml'): Promise<void> {
  if (format === 'json') return io.out(JSON.stringify(data, null, 2));
  const { dump } = await import('js-yaml');
  // Long sentences stay on one line, so that grep finds them.
  io.out(dump(data, { lineWidth: -1, noRefs: true }).trimEnd());
}
