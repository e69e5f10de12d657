/**
 * How fast the little world moves. A real cluster takes minutes where nobody wants to watch for minutes, so the
 * durations are short; they keep their order (a pod is ready before a rollout is over, an alert waits before it fires).
 */
export interface Pace {
  /** How often the world, Prometheus and Alertmanager take a step. */
  tickMs: number;
  /** From created to running, from running to ready, from asked to stop to gone. */
  podStartMs: number;
  podReadyMs: number;
  podStopMs: number;
  /** How long the container of a Job runs. */
  jobMs: number;
  /** First pause after a crash (doubling) and the longest one; a kubelet waits 10 s and 5 min. */
  backoffMs: number;
  backoffMaxMs: number;
  /** Prometheus: scrape and rule interval, `for` of the alerts, the range rates are taken over. */
  scrapeMs: number;
  alertForMs: number;
  rateWindowMs: number;
  /** Alertmanager. The handbook (§12) waits 10 to 30 s before the first notification of a group. */
  groupWaitMs: number;
  groupIntervalMs: number;
  repeatIntervalMs: number;
  /** How long a Gitea workflow run stays queued, and then runs. */
  queueMs: number;
  runMs: number;
}

/**
 * The laptop's pace: a broken pod is noticed within 200 ms, its alert fires 800 ms later and is sent after another
 * 500 ms, so that a fault is on screen in two to three seconds; rates over one second forget a fixed fault as fast.
 */
const LAPTOP: Pace = {
  tickMs: 100,
  podStartMs: 100,
  podReadyMs: 200,
  podStopMs: 100,
  jobMs: 500,
  backoffMs: 1_000,
  backoffMaxMs: 30_000,
  scrapeMs: 200,
  alertForMs: 800,
  rateWindowMs: 1_000,
  groupWaitMs: 500,
  groupIntervalMs: 1_000,
  repeatIntervalMs: 300_000,
  queueMs: 300,
  runMs: 1_500,
};

/** The laptop's pace, `speed` times as fast (0.1 = ten times slower, nearer to a real cluster). */
export function paceFor(speed = 1): Pace {
  if (!(speed > 0)) throw new RangeError(`speed must be greater than 0, not ${speed}`);
  const scaled = Object.entries(LAPTOP).map(([name, ms]) => [name, ms / speed]);
  return Object.fromEntries(scaled) as unknown as Pace;
}
