/** Tables: printed, and with `--write` put into `docs/benchmarks.md` between the markers of their section. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';

export interface Section {
  /** Name of the benchmark: `node bench/<name>.ts`, and its markers in the document. */
  name: string;
  columns: readonly string[];
  rows: readonly (readonly string[])[];
  /** What a reader has to know to judge the figures, as sentences. */
  notes: readonly string[];
}

const document = join(import.meta.dirname, '..', '..', 'docs', 'benchmarks.md');

/** Runs a benchmark as the program that was started; does nothing when the file was only imported. */
export async function runAsProgram(main: boolean, bench: () => Promise<Section>): Promise<void> {
  if (main) await report([bench]);
}

export async function report(benches: readonly (() => Promise<Section>)[]): Promise<void> {
  const write = process.argv.includes('--write');
  for (const bench of benches) {
    const loadBefore = loadavg()[0] ?? 0;
    const started = performance.now();
    const section = await bench();
    const text = markdown(section, loadBefore, (performance.now() - started) / 1000);
    console.log(`## ${section.name}\n\n${text}\n`);
    if (write) put(section.name, text);
  }
}

function markdown({ name, columns, rows, notes }: Section, loadBefore: number, seconds: number): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [line(columns), line(columns.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)];
  return [
    ...table,
    '',
    ...notes.map((note) => `- ${note}`),
    `- \`node bench/${name}.ts\`, ${Math.round(seconds)} s, ${new Date().toISOString().slice(0, 10)}; ${machine()}, load ${loadBefore.toFixed(1)} before.`,
  ].join('\n');
}

function machine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${processors.length} × ${processors[0]?.model.trim()}, ${memory} GiB, ${type()} ${release()}, Node.js ${process.versions.node}`;
}

function put(name: string, text: string): void {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const page = readFileSync(document, 'utf8');
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${document} has no markers ${begin} and ${end}.`);
  writeFileSync(document, `${page.slice(0, from + begin.length)}\n${text}\n${page.slice(to)}`);
}
