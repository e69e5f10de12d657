/**
 * Namespaces of the Linux kernel as a testbed: networks with real cables between them, and disks of a few kilobytes. They
 * are nameless and belong to a process that the kernel ends with this one, so nothing is left behind, not even by kill -9.
 * The machine's own network and its mounts are not touched. Needs root, or a kernel that gives everybody namespaces.
 */
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import {
  type Availability,
  demand,
  findPrograms,
  orStop,
  runProgram,
  type Server,
  startServer,
  temporaryDirectory,
  waitUntil,
} from './process.ts';

/** Where a program is to run: what its command line begins with. */
export type Enter = readonly string[];

/** Making a namespace takes milliseconds. */
const LIMIT_MS = 10_000;

/** A user that is not root becomes root of a user namespace of its own first. */
const AS_ROOT = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];

function find(kind: 'net' | 'mount', attempt: readonly string[]): Availability {
  const found = findPrograms(['unshare', 'nsenter', 'ip', 'mount'], ['/usr/bin', '/usr/sbin', '/sbin']);
  if (!found.available) return found;
  try {
    execFileSync('unshare', [...AS_ROOT, `--${kind}`, ...attempt], { stdio: 'pipe', timeout: LIMIT_MS });
    return { available: true };
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    return { available: false, reason: `this machine allows no ${kind} namespace: ${said}` };
  }
}

/** Whether networks can be made here. */
export function findNetworks(): Availability {
  return find('net', ['ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two']);
}

/** Whether small disks can be made here. */
export function findSmallDisks(): Availability {
  return find('mount', ['mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
}

/** A process in new namespaces, whose children live in them; `first` runs in them before it answers. */
async function hold(kind: 'net' | 'mount', inside?: Holder): Promise<Holder> {
  const namespace = { net: 'net', mount: 'mnt' }[kind];
  const become = inside === undefined ? AS_ROOT : [];
  // `unshare` may drop what ties a program to us, so it is tied again behind it.
  const program = ['unshare', ...become, `--${kind}`, 'setpriv', '--pdeathsig', 'KILL', 'sleep', 'infinity'];
  const [command = '', ...args] = [...(inside?.user ?? []), ...program];
  const server = startServer({ name: `${kind} namespace`, program: command, args });
  const own = readlinkSync(`/proc/self/ns/${namespace}`);
  const path = `/proc/${server.pid}/ns`;
  await waitUntil('a namespace', LIMIT_MS, () => readlinkSync(`${path}/${namespace}`) !== own, [server]);
  const user =
    AS_ROOT.length === 0 ? [] : (inside?.user ?? ['nsenter', `--user=${path}/user`, '--preserve-credentials']);
  const enter = [...(user.length === 0 ? ['nsenter'] : user), `--${kind}=${path}/${namespace}`];
  return { server, user, enter };
}

interface Holder {
  server: Server;
  /** Enters its user namespace alone; empty when this process is root. */
  user: readonly string[];
  enter: Enter;
}

function run({ enter }: Pick<Holder, 'enter'>, ...command: readonly string[]): void {
  const [program = '', ...args] = [...enter, ...command];
  runProgram(program, args);
}

export interface Networks<Place extends string> {
  /** What the command line of a program begins with that is to run at a place. */
  enter(place: Place): Enter;
  /** The address of `to` as `from` sees it. */
  address(from: Place, to: Place): string;
  /** Pulls the plug of the cable between two places, at the end of the first. */
  unplug(at: Place, to: Place): void;
  /** From now on what `from` sends to `to` is lost on the way, in silence; the other way nothing changes. */
  lose(from: Place, to: Place): void;
  /** As it was. */
  mend(a: Place, b: Place): void;
  stop(): Promise<void>;
}

/** Nobody's: what is sent to it arrives, and is dropped. */
const NOBODY = '02:00:00:00:00:01';

/** Places with a loopback of their own and a cable to each other one, that see nothing else. */
export async function startNetworks<Place extends string>(places: readonly Place[]): Promise<Networks<Place>> {
  demand(findPrograms(['unshare', 'nsenter', 'ip'], ['/usr/bin', '/usr/sbin', '/sbin']));
  const holders = new Map<Place, Holder>();
  const addresses = new Map<string, string>();
  const stop = async (): Promise<void> => {
    for (const { server } of holders.values()) await server.stop();
  };
  const at = (place: Place): Holder => {
    const holder = holders.get(place);
    if (holder === undefined) throw new Error(`there is no place ${place}`);
    return holder;
  };
  const address = (from: Place, to: Place): string => {
    const found = addresses.get(`${from} ${to}`);
    if (found === undefined) throw new Error(`there is no cable from ${from} to ${to}`);
    return found;
  };
  return await orStop(async () => {
    let cables = 0;
    for (const place of places) {
      const first = holders.values().next().value;
      const holder = await hold('net', first);
      run(holder, 'ip', 'link', 'set', 'lo', 'up');
      for (const [other, peer] of holders) {
        const net = `10.77.${cables++}`;
        run(
          holder,
          ...['ip', 'link', 'add', device(other), 'type', 'veth'],
          ...['peer', 'name', device(place), 'netns', String(peer.server.pid)],
        );
        for (const [here, there, host] of [
          [place, other, 1],
          [other, place, 2],
        ] as const) {
          const end = here === place ? holder : peer;
          run(end, 'ip', 'address', 'add', `${net}.${host}/30`, 'dev', device(there));
          run(end, 'ip', 'link', 'set', device(there), 'up');
          addresses.set(`${there} ${here}`, `${net}.${host}`);
        }
      }
      holders.set(place, holder);
    }
    return {
      enter: (place) => at(place).enter,
      address,
      unplug: (here, there) => run(at(here), 'ip', 'link', 'set', device(there), 'down'),
      lose: (from, to) =>
        run(
          at(from),
          ...['ip', 'neighbour', 'replace', address(from, to), 'lladdr', NOBODY],
          ...['dev', device(to), 'nud', 'permanent'],
        ),
      mend: (a, b) => {
        for (const [here, there] of [
          [a, b],
          [b, a],
        ] as const) {
          run(at(here), 'ip', 'neighbour', 'flush', 'dev', device(there), 'nud', 'permanent');
          run(at(here), 'ip', 'link', 'set', device(there), 'up');
        }
      },
      stop,
    };
  }, stop);
}

function device(to: string): string {
  return `to-${to}`;
}

export interface SmallDisk {
  /** What the command line of a program begins with that is to see the disk. */
  enter: Enter;
  /** Where such a program finds it. */
  path: string;
  /** Where this process sees it. */
  outside: string;
  stop(): Promise<void>;
}

/** A disk of so many bytes, empty; it is full when they are written. */
export async function startSmallDisk(bytes: number): Promise<SmallDisk> {
  const directory = temporaryDirectory('disk');
  const holder = await orStop(
    () => hold('mount'),
    async () => directory.remove(),
  );
  const stop = async (): Promise<void> => {
    await holder.server.stop();
    directory.remove();
  };
  return await orStop(async () => {
    run(holder, 'mount', '-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'tmpfs', directory.path);
    return {
      enter: holder.enter,
      path: directory.path,
      outside: `/proc/${holder.server.pid}/root${directory.path}`,
      stop,
    };
  }, stop);
}
