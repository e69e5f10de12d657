/**
 * How long response clocks have run. An incident says when its clock began and when the next step is due, both by the time
 * of day, and of these only the difference counts: once a clock has been seen to run, what has passed is measured by time
 * that only ever grows. So a machine whose clock is set, ahead or back, neither calls people early nor lets them sleep.
 *
 * A clock is taken by the time of day only where nothing else is known: how long it ran while this process did not. After
 * a restart that is all the time since it began, because the people who were to answer have waited, whether we ran or not.
 * If the machine's clock was set ahead meanwhile, people are called early; if it was set back, the clock begins anew at
 * worst, and never runs longer than from the start.
 *
 * Each replica has a stopwatch of its own, and the first that runs out calls: a replica whose clock is wrong, or that
 * stands still, keeps the others from nothing.
 */
import type { Clock } from '../clock.ts';
import { timeOfId } from '../ids.ts';
import type { Incident } from './incident.ts';

/** A clock that runs: its incident is not acknowledged, and something is left to do. Times in ms since the epoch. */
export type RunningClock = Pick<Incident, 'id' | 'clockFrom'> & { escalateAt: number };

export interface ResponseStopwatch {
  /** Given every clock that runs, the ids of the incidents whose next step is due. Those left out have stopped. */
  due(clocks: readonly RunningClock[]): string[];
  /** The time on the incident's own clock: when it began, and what has passed since. */
  timeOf(incident: Pick<Incident, 'id' | 'clockFrom'>): number;
}

export function createStopwatch(clock: Pick<Clock, 'now' | 'monotonic'>): ResponseStopwatch {
  /** `began` in monotonic ms; a clock that began anew has another `clockFrom`. */
  let running = new Map<string, { clockFrom: number; began: number }>();
  let lastLook = Number.NEGATIVE_INFINITY;

  function begun(incident: Pick<Incident, 'id' | 'clockFrom'>, elapsed: number) {
    const known = running.get(incident.id);
    if (known?.clockFrom === incident.clockFrom) return known;
    const { id, clockFrom } = incident;
    // One that was split off began before it was made, and both were read from one clock at one moment.
    const before = Math.max(0, timeOfId(id) - clockFrom);
    const byTimeOfDay = clock.now() - clockFrom - before;
    // It was not there at the look before, so that it cannot have run for longer.
    const since = Math.max(0, Math.min(byTimeOfDay, elapsed - lastLook));
    return { clockFrom, began: elapsed - before - since };
  }

  return {
    due(clocks) {
      const elapsed = clock.monotonic();
      const seen = new Map(clocks.map((one) => [one.id, begun(one, elapsed)]));
      running = seen;
      lastLook = elapsed;
      return clocks
        .filter(({ id, clockFrom, escalateAt }) => elapsed - (seen.get(id)?.began ?? elapsed) >= escalateAt - clockFrom)
        .map(({ id }) => id);
    },
    timeOf(incident) {
      const elapsed = clock.monotonic();
      return incident.clockFrom + elapsed - begun(incident, elapsed).began;
    },
  };
}
