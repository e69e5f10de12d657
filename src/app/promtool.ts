/** Runs promtool over generated rules and their tests, in a folder of its own. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../clock.ts';
import { CatalystError, messageOf } from '../errors.ts';
import type { RenderedText } from '../slo/prometheus-files.ts';

interface UnitResult {
  /** `service/name` of the rule file. */
  unit: string;
  passed: boolean;
  /** What promtool said, where it failed. */
  sentence?: string;
  /** ms, shared evenly. */
  took: number;
}

/** A thousand objectives take some ten minutes on one core. */
const limit = 30 * 60_000;
const maxOutput = 64 * 1024 * 1024;

export async function runPromtool(files: readonly RenderedText[], signal: AbortSignal): Promise<UnitResult[]> {
  const tests = files.filter(({ path }) => path.startsWith('prometheus/tests/'));
  if (tests.length === 0) return [];
  const folder = await mkdtemp(join(tmpdir(), 'catalyst-sre-rules-'));
  try {
    for (const { path, text } of files.filter((file) => file.path.startsWith('prometheus/'))) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const began = systemClock.monotonic();
    const output = await promtool(['test', 'rules', ...tests.map(({ path }) => path)], folder, signal);
    const took = (systemClock.monotonic() - began) / tests.length;
    return resultsOf(output).map((result) => ({ ...result, took }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Output of both channels; a test that failed is no error here. */
async function promtool(args: readonly string[], cwd: string, signal: AbortSignal): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)('promtool', args, {
      cwd,
      signal,
      timeout: limit,
      maxBuffer: maxOutput,
    });
    return stdout + stderr;
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (code === 'ENOENT')
      throw new CatalystError('NotConfigured', 'promtool is not installed, and it is what runs these tests.', {
        hint: 'It is part of Prometheus; Debian has it in the package prometheus.',
      });
    if (code === 1) return stdout + stderr;
    throw new CatalystError('Internal', `promtool did not end well: ${messageOf(error)}`, { cause: error });
  }
}

/** promtool writes a heading for each file, and what failed below it. */
function resultsOf(output: string): Omit<UnitResult, 'took'>[] {
  return output
    .split(/^Unit Testing: +/m)
    .slice(1)
    .map((block) => {
      const [heading = '', ...lines] = block.split('\n');
      const unit = heading.replace(/^prometheus\/tests\//, '').replace(/_test\.yaml$/, '');
      const passed = !lines.some((line) => line.trim().startsWith('FAILED'));
      return passed ? { unit, passed } : { unit, passed, sentence: lines.join('\n').trim() };
    });
}
