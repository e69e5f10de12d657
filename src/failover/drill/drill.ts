/**
 * Game days between two pocket regions on one machine: real processes, a real witness, real signals. The verdict comes
 * from an observer that only asks the workloads, as a client would.
 */
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import { defaultParameters } from '../parameters.ts';
import { verifyRecordFile } from '../record-file.ts';
import { longestSilence, type Observer, startObserver, twoActive } from './observer.ts';
import { type Region, regionNames, type Stage, setStage } from './stage.ts';

export interface FailoverDrillEvent {
  /** Since the start, ms. */
  at: number;
  kind: 'fault' | 'decision' | 'action' | 'verification' | 'note' | 'problem';
  sentence: string;
}

export interface FailoverDrillResult {
  passed: boolean;
  sentence: string;
  took: number;
  measured: Record<string, string>;
}

export interface FailoverDrillPorts {
  clock: Clock;
  /** How many times shorter than the handbook the times are. */
  speed: number;
}

interface Scene {
  stage: Stage;
  one: Region;
  two: Region;
  say(kind: FailoverDrillEvent['kind'], sentence: string): void;
  /** Waits until this region serves; undefined: until nobody does. Throws when it takes too long. */
  serves(region: Region | undefined): Promise<void>;
  /** Lets `ms` of the handbook's time pass, scaled; throws when anybody else than `region` serves meanwhile. */
  stays(region: Region, ms: number): Promise<void>;
}

interface Drill {
  description: string;
  run(scene: Scene): Promise<void>;
}

const drills: Readonly<Record<string, Drill>> = {
  'region-loss': {
    description: 'A region is lost with everything in it: the other one takes over (handbook §2.4)',
    run: async ({ one, two, say, serves }) => {
      say('fault', `${one.name} is lost: controller and gate are killed, its link is cut.`);
      await one.lose();
      await serves(two);
    },
  },
  'witness-loss': {
    description:
      'The witness is lost: the active region goes on by the promise of the other one; without that it fences',
    run: async ({ stage, one, say, serves, stays }) => {
      say('fault', 'The witness is killed. The regions still see each other.');
      await stage.killWitness();
      await stays(one, 2 * defaultParameters.ttlMs);
      say('fault', 'Now the link between the regions is cut, too: nobody can prove anything.');
      stage.cutCables();
      await serves(undefined);
      say('note', 'The witness is started again, from its file, and the link is mended.');
      await stage.restartWitness();
      stage.mendCables();
      await serves(one);
    },
  },
  partition: {
    description: 'The active region is cut off from witness and peer: it fences itself before the other one takes over',
    run: async ({ stage, one, two, say, serves, stays }) => {
      say('fault', `${one.name} is cut off from the witness and from ${two.name}; the region itself goes on.`);
      one.link.cut();
      stage.cutCables();
      await serves(two);
      say('note', 'The links are mended. Nothing fails back by itself.');
      one.link.mend();
      stage.mendCables();
      await stays(two, defaultParameters.ttlMs / 2);
    },
  },
  'controller-freeze': {
    description: 'The active controller is stopped in its tracks (SIGSTOP): the gate shuts by its own deadline',
    run: async ({ one, two, say, serves, stays }) => {
      say('fault', `The controller of ${one.name} is frozen by SIGSTOP. Its gate and workload go on.`);
      await one.controller.signal('SIGSTOP');
      await serves(two);
      say('note', `The controller of ${one.name} wakes up (SIGCONT), and still believes in its old epoch.`);
      await one.controller.signal('SIGCONT');
      await stays(two, defaultParameters.ttlMs / 2);
    },
  },
  'stale-region-reboots': {
    description: 'A lost region boots again from its old disk: what is stored there opens nothing',
    run: async ({ one, two, say, serves, stays }) => {
      say('fault', `${one.name} is lost with everything in it.`);
      await one.lose();
      await serves(two);
      say('fault', `${one.name} boots again from its old disk.`);
      await one.reboot();
      await stays(two, 1.5 * defaultParameters.ttlMs);
    },
  },
};

export function failoverDrills(): { name: string; description: string }[] {
  return Object.entries(drills).map(([name, { description }]) => ({ name, description }));
}

export function isFailoverDrill(name: string): boolean {
  return Object.hasOwn(drills, name);
}

/** Slower than the handbook helps nobody; faster than this, starting processes takes longer than the lease. */
const [slowest, fastest] = [1, 10];

/** @throws CatalystError NotFound for a name that is none, BadRequest for a speed that is none */
export async function runFailoverDrill(
  name: string,
  onEvent: (event: FailoverDrillEvent) => void,
  signal: AbortSignal,
  { clock, speed }: FailoverDrillPorts,
): Promise<FailoverDrillResult> {
  const drill = Object.hasOwn(drills, name) ? drills[name] : undefined;
  if (!drill) throw new CatalystError('NotFound', `There is no failover drill ${name}.`);
  if (!(speed >= slowest && speed <= fastest))
    throw new CatalystError('BadRequest', `--speed is ${slowest} (the handbook's times) to ${fastest}.`);
  const started = clock.monotonic();
  const since = () => Math.round(clock.monotonic() - started);
  const say = (kind: FailoverDrillEvent['kind'], sentence: string) => onEvent({ at: since(), kind, sentence });
  const ttl = defaultParameters.ttlMs / speed / 1000;
  say('note', `Two regions and a witness start, as processes; TTL ${ttl} s, renewed every ${ttl / 3} s.`);
  const stage = await setStage({
    speed,
    onLog: (region, reason, sentence) => say('decision', `${region} ${reason}: ${sentence}`),
  });
  let observer: Observer | undefined;
  try {
    const watching = startObserver(stage.regions, clock, (serving) =>
      say(serving ? 'verification' : 'problem', serving ? `${serving} serves.` : 'Nobody serves.'),
    );
    observer = watching;
    // Two TTLs for the promise and the wait, and as much again for a busy machine.
    const limitMs = (4 * defaultParameters.ttlMs) / speed + 30_000;
    const serves = async (region: Region | undefined) => {
      const until = clock.monotonic() + limitMs;
      while (watching.serving() !== region?.name) {
        signal.throwIfAborted();
        if (clock.monotonic() > until)
          throw new CatalystError(
            'TimedOut',
            `${region?.name ?? 'nobody'} did not come to serve within ${limitMs / 1000} s.`,
          );
        await clock.sleep(20, signal);
      }
    };
    const [one, two] = stage.regions;
    const stays = async (region: Region, ms: number) => {
      const until = clock.monotonic() + ms / speed;
      while (clock.monotonic() < until) {
        const now = watching.serving();
        if (now !== undefined && now !== region.name)
          throw new CatalystError('InvalidState', `${now} serves, where ${region.name} was to stay active.`);
        await clock.sleep(50, signal);
      }
      await serves(region);
    };
    await serves(one);
    await stays(one, defaultParameters.renewMs);
    const before = clock.monotonic();
    const failure = await drill.run({ stage, one, two, say, serves, stays }).then(
      () => undefined,
      (error: unknown) => {
        if (!(error instanceof CatalystError)) throw error;
        return error.message;
      },
    );
    await watching.stop();
    return await verdict({ failure, watching, stage, before, since });
  } finally {
    await observer?.stop();
    await stage.stop();
  }
}

interface Evidence {
  failure: string | undefined;
  watching: Observer;
  stage: Stage;
  /** When the fault was made. */
  before: number;
  since: () => number;
}

async function verdict({ failure, watching, stage, before, since }: Evidence): Promise<FailoverDrillResult> {
  const two = twoActive(watching.answers);
  const silence = longestSilence(watching.answers.filter(({ answeredAt }) => answeredAt >= before - 1_000));
  const broken: string[] = [];
  let entries = 0;
  for (const region of regionNames) {
    const checked = await verifyRecordFile(stage.recordOf(region));
    entries += checked.entries;
    if (!checked.intact) broken.push(`The record of ${region} is broken at entry ${checked.brokenAt}.`);
  }
  const problems = [two, failure, ...broken].filter((problem) => problem !== undefined);
  const epochs = new Set(watching.answers.map(({ epoch }) => epoch));
  return {
    passed: problems.length === 0,
    sentence:
      problems.length === 0
        ? `Never two active regions in ${watching.answers.length} answers under ${epochs.size} epochs; both records are intact (${entries} entries).`
        : problems.join(' '),
    took: since(),
    measured: { 'nobody served for': `${(silence.ms / 1000).toFixed(1)}s` },
  };
}
