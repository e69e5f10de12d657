/** What goes wrong in a run: chosen by chance, one after another and on top of each other, and healed at a known time. */
import type { Agenda } from './agenda.ts';
import type { Network } from './network.ts';
import type { Chance } from './random.ts';
import { type Region, usualDiskMs } from './region.ts';
import type { Register } from './register.ts';

export interface Victims {
  agenda: Agenda;
  chance: Chance;
  network: Network;
  regions: readonly Region[];
  registers: readonly Register[];
  resolvers: readonly string[];
  trace: ((line: string) => void) | undefined;
}

type Fault = (victims: Victims, duration: number) => string;

const cut = ({ agenda, network }: Victims, from: string, to: string, duration: number) => {
  const link = network.link(from, to);
  link.cuts += 1;
  agenda.in(duration, () => {
    link.cuts = Math.max(0, link.cuts - 1);
  });
};

const everyone = ({ regions, registers, resolvers }: Victims, but: string) =>
  [...regions.map(({ name }) => name), ...registers.map(({ name }) => name), ...resolvers].filter(
    (name) => name !== but,
  );

/** Cuts a region from everything but the resolvers. */
const leaveResolvers = (v: Victims, region: string, duration: number) => {
  for (const other of everyone(v, region)) {
    if (v.resolvers.includes(other)) continue;
    cut(v, region, other, duration);
    cut(v, other, region, duration);
  }
};

/** Every fault, by name, with its weight. */
const faults: Record<string, [weight: number, Fault]> = {
  'cut region from witness': [
    4,
    (v, duration) => {
      const region = v.chance.pick(v.regions).name;
      const witness = v.chance.pick(v.registers).name;
      const way = v.chance.whole(3);
      if (way !== 1) cut(v, region, witness, duration);
      if (way !== 2) cut(v, witness, region, duration);
      return `${region} ${['<->', '<-', '->'][way]} ${witness}`;
    },
  ],
  'cut region from all witnesses': [
    3,
    (v, duration) => {
      const region = v.chance.pick(v.regions).name;
      for (const { name } of v.registers) {
        cut(v, region, name, duration);
        cut(v, name, region, duration);
      }
      return region;
    },
  ],
  'cut the regions from each other': [
    3,
    (v, duration) => {
      const [a, b] = v.regions.map(({ name }) => name) as [string, string];
      const way = v.chance.whole(3);
      if (way !== 1) cut(v, a, b, duration);
      if (way !== 2) cut(v, b, a, duration);
      return `${a} ${['<->', '<-', '->'][way]} ${b}`;
    },
  ],
  'isolate a region': [
    3,
    (v, duration) => {
      const region = v.chance.pick(v.regions).name;
      const way = v.chance.whole(3);
      for (const other of everyone(v, region)) {
        if (way !== 1) cut(v, region, other, duration);
        if (way !== 2) cut(v, other, region, duration);
      }
      return `${region} ${['both ways', 'inbound', 'outbound'][way]}`;
    },
  ],
  'lose messages': [
    2,
    (v, duration) => {
      const region = v.chance.pick(v.regions).name;
      for (const other of everyone(v, region))
        for (const link of [v.network.link(region, other), v.network.link(other, region)]) {
          link.loss = v.chance.between(0.1, 0.7);
          v.agenda.in(duration, () => {
            link.loss = 0;
          });
        }
      return region;
    },
  ],
  'slow links': [
    2,
    (v, duration) => {
      const region = v.chance.pick(v.regions).name;
      for (const other of everyone(v, region))
        for (const link of [v.network.link(region, other), v.network.link(other, region)]) {
          link.slow = v.chance.between(500, 8_000);
          v.agenda.in(duration, () => {
            link.slow = 0;
          });
        }
      return region;
    },
  ],
  'witness down': [
    3,
    (v, duration) => {
      const register = v.chance.pick(v.registers);
      register.down += 1;
      v.agenda.in(duration, () => {
        register.down = Math.max(0, register.down - 1);
      });
      return register.name;
    },
  ],
  'all witnesses down': [
    2,
    (v, duration) => {
      for (const register of v.registers) {
        register.down += 1;
        v.agenda.in(duration, () => {
          register.down = Math.max(0, register.down - 1);
        });
      }
      return '';
    },
  ],
  'lose a region': [
    4,
    (v, duration) => {
      const region = v.chance.pick(v.regions);
      region.crashMachine();
      v.agenda.in(duration, () => {
        region.bootMachine();
        v.agenda.in(v.chance.between(0, 5_000), () => region.start());
      });
      return region.name;
    },
  ],
  'crash a controller': [
    3,
    (v, duration) => {
      const region = v.chance.pick(v.regions);
      region.crash();
      v.agenda.in(Math.min(duration, v.chance.between(100, 30_000)), () => region.start());
      return region.name;
    },
  ],
  'freeze a controller': [
    3,
    (v, duration) => {
      const region = v.chance.pick(v.regions);
      region.pause();
      v.agenda.in(duration, () => region.resume());
      return region.name;
    },
  ],
  'freeze a controller as it writes the lease': [
    2,
    (v, duration) => {
      const region = v.chance.pick(v.regions);
      region.pauseOnCas = Math.min(duration, 60_000);
      return region.name;
    },
  ],
  'crash a controller as it writes a promise': [
    1,
    (v, duration) => {
      const region = v.chance.pick(v.regions);
      region.crashOnPromise = Math.min(duration, v.chance.between(100, 30_000));
      return region.name;
    },
  ],
  'full disks': [
    1,
    (v, duration) => {
      const regions = v.chance.happens(0.5) ? v.regions : [v.chance.pick(v.regions)];
      for (const region of regions) {
        region.recordBroken += 1;
        v.agenda.in(duration, () => {
          region.recordBroken = Math.max(0, region.recordBroken - 1);
        });
      }
      return regions.map(({ name }) => name).join(', ');
    },
  ],
  'a slow disk': [
    1,
    (v, duration) => {
      const region = v.chance.pick(v.regions);
      region.diskMs = v.chance.between(500, 8_000);
      v.agenda.in(duration, () => {
        region.diskMs = usualDiskMs;
      });
      return region.name;
    },
  ],
  'a region that only resolvers can reach': [
    3,
    (v, duration) => {
      const region = v.chance.pick(v.regions).name;
      leaveResolvers(v, region, duration);
      return region;
    },
  ],
  'a region that only resolvers can reach, and one they cannot answer': [
    2,
    (v, duration) => {
      const [seen, blind] = v.chance.happens(0.5) ? v.regions : [...v.regions].reverse();
      if (!seen || !blind) return '';
      leaveResolvers(v, seen.name, duration);
      for (const resolver of v.resolvers) cut(v, blind.name, resolver, duration);
      return `${seen.name}, ${blind.name}`;
    },
  ],
  'components that fail': [
    1,
    (v, duration) => {
      const region = v.chance.pick(v.regions);
      region.componentsBroken += 1;
      v.agenda.in(duration, () => {
        region.componentsBroken = Math.max(0, region.componentsBroken - 1);
      });
      return region.name;
    },
  ],
  'a resolver that cannot reach a region': [
    2,
    (v, duration) => {
      const resolver = v.chance.pick(v.resolvers);
      const region = v.chance.pick(v.regions).name;
      cut(v, resolver, region, duration);
      return `${resolver} -> ${region}`;
    },
  ],
  'an instance of a resolver that cannot reach a region': [
    2,
    (v, duration) => {
      // Felt only where each region sees an instance of its own (`sameViews: false`).
      const asker = v.chance.pick(v.regions).name;
      const region = v.chance.pick(v.regions).name;
      const instances = v.resolvers.slice(v.chance.whole(2)).map((resolver) => `${resolver}/${asker}`);
      for (const instance of instances) cut(v, instance, region, duration);
      return `${instances.join(', ')} -> ${region}`;
    },
  ],
  'a region without resolvers': [
    1,
    (v, duration) => {
      const region = v.chance.pick(v.regions).name;
      for (const resolver of v.resolvers) cut(v, region, resolver, duration);
      return region;
    },
  ],
};

const lottery = Object.entries(faults).flatMap(([name, [weight]]) => Array.from({ length: weight }, () => name));

/** Lets faults happen from `from` to `until`, in storms and calms; all of them end by `until`. */
export function scheduleFaults(victims: Victims, from: number, until: number): void {
  const { agenda, chance } = victims;
  const pause = chance.pick([3_000, 10_000, 25_000]);
  const longest = chance.pick([15_000, 45_000, 120_000]);
  for (let at = from; at < until - 1_000; at += chance.between(0.2, 1.8) * pause) {
    const name = chance.pick(lottery);
    const duration = Math.min(until - at, chance.between(500, longest));
    agenda.in(at, () => {
      const what = faults[name]?.[1](victims, duration);
      victims.trace?.(`! ${name}: ${what}, for ${(duration / 1000).toFixed(1)} s`);
    });
  }
}
