/** Tables as kubectl prints them, and text that is safe on a terminal. */

export interface Column {
  header: string;
  value(item: Record<string, unknown>, now: number): string;
  /** Only with -o wide. */
  wide?: boolean;
  /** Colour by the word in the cell. */
  coloured?: boolean;
}

/** Cells of columns to the right may be cut; a sentence that fills the screen tells less than one that is cut. */
const longestCell = 80;

/** Removes what a terminal would act upon: labels and annotations come from outside. */
export function safe(value: unknown): string {
  const text = typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value);
  // Control characters (C0, DEL, C1) and the marks that turn the direction of text.
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}]+/gu, ' ').trim();
}

export interface TableOptions {
  wide: boolean;
  colour: boolean;
  now: number;
  /** Widths of a table that goes on: rows of --watch line up with those before. */
  widths?: number[];
  header?: boolean;
}

export function renderTable(
  columns: readonly Column[],
  items: readonly Record<string, unknown>[],
  options: TableOptions,
): { lines: string[]; widths: number[] } {
  const shown = columns.filter((column) => options.wide || !column.wide);
  const rows = items.map((item) =>
    shown.map((column) => {
      const text = safe(column.value(item, options.now)) || '<none>';
      return options.wide || text.length <= longestCell ? text : `${text.slice(0, longestCell - 1)}…`;
    }),
  );
  const widths = shown.map((column, i) =>
    Math.max(options.widths?.[i] ?? 0, column.header.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (cells: readonly string[], paint: (cell: string, i: number) => string) =>
    cells
      .map(
        (cell, i) => `${paint(cell, i)}${i === cells.length - 1 ? '' : ' '.repeat((widths[i] ?? 0) - cell.length + 3)}`,
      )
      .join('')
      .trimEnd();
  const lines = rows.map((row) =>
    line(row, (cell, i) => (options.colour && shown[i]?.coloured ? colourOf(cell, cell) : cell)),
  );
  const header =
    options.header === false
      ? []
      : [
          line(
            shown.map((column) => column.header),
            (cell) => cell,
          ),
        ];
  return { lines: [...header, ...lines], widths };
}

const red = 31;
const green = 32;
const yellow = 33;
const colours: Record<string, number> = {
  Firing: red,
  Open: red,
  Failed: red,
  Unknown: red,
  P1: red,
  P2: yellow,
  Acknowledged: yellow,
  AwaitingApproval: yellow,
  RollingBack: yellow,
  RolledBack: yellow,
  Refused: yellow,
  Pending: yellow,
  Mitigated: green,
  Resolved: green,
  Succeeded: green,
  Approved: green,
  Delivered: green,
  error: red,
  warning: yellow,
  passed: green,
  failed: red,
};

/** The text in the colour of a word; colour only repeats what the word says. */
export function colourOf(word: string, text: string): string {
  const colour = colours[word];
  return colour === undefined ? text : `\u001b[${colour}m${text}\u001b[0m`;
}

/** Ages as kubectl writes them: 5s, 2m10s, 5m, 3h20m, 10h, 2d3h, 12d, 2y. */
export function age(time: unknown, now: number): string {
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(at)) return '<unknown>';
  return duration(now - at);
}

/** The largest unit, with the next one while the first is a small number (apimachinery's HumanDuration). */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const years = Math.floor(days / 365);
  const both = (large: number, unit: string, small: number, smallUnit: string) =>
    small === 0 ? `${large}${unit}` : `${large}${unit}${small}${smallUnit}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return both(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return both(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return both(days, 'd', hours % 24, 'h');
  if (years < 2) return `${days}d`;
  if (years < 8) return both(years, 'y', days % 365, 'd');
  return `${years}y`;
}
