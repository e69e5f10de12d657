/** What a process and its children cost, as the kernel of Linux accounts for it. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of `/proc/<pid>/stat` per second. */
const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

interface Stat {
  parent: number;
  /** User and system time in seconds, that of children already gone included. */
  cpu: number;
}

function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name in parentheses may hold blanks; the fields count from after it (proc(5): 4 is the parent, 14 to 17 the times).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const time = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { parent: Number(fields[1]), cpu: time / ticks };
}

/** Processor time a process has used up to now, that of its children included, in seconds. */
export function cpuSeconds(pid: number): number {
  const stats = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (stat) stats.set(Number(name), stat);
  }
  const childrenOf = (parent: number): number =>
    [...stats].reduce((sum, [child, stat]) => (stat.parent === parent ? sum + stat.cpu + childrenOf(child) : sum), 0);
  return (stats.get(pid)?.cpu ?? 0) + childrenOf(pid);
}

/** Resident memory of a process in MB (10^6 bytes): now, and the most it ever was. */
export function residentMegabytes(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  return { now: (kilobytes('VmRSS') * 1024) / 1e6, peak: (kilobytes('VmHWM') * 1024) / 1e6 };
}
