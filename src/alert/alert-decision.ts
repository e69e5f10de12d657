/**
 * Which episode a report is about, and what it does to it. Pure; the store carries it out.
 *
 * Alertmanager delivers at least once, from each of its replicas, late and out of order; it loses "resolved", invents it
 * when Prometheus dies, and moves starts back. Whatever the order, one real firing shall be one episode, and fire once.
 */
import type { ChangeKind, Episode } from './alert.ts';
import type { AlertReport } from './payload.ts';

/**
 * Starts this close together are one firing seen twice. Two replicas of Prometheus evaluate the same rule apart by up to
 * its interval, and one that missed a scrape starts its `for` one or two intervals later; intervals are 15 s to 1 min,
 * slow groups 2 min. Five minutes holds all of these and is Alertmanager's default group_interval, below which it would
 * not have told two firings apart either.
 */
export const overlapTolerance = 5 * 60_000;

/** What of a report decides. */
export type Report = Pick<AlertReport, 'status' | 'startsAt' | 'endsAt'>;

/** What to do to one episode. `next` is the episode afterwards. */
export interface Transition {
  /** `Corrected`: the start shown was another firing's, and is put right. Stored, and not worth telling. */
  kind: ChangeKind | 'Corrected';
  next: Episode;
  sentence: string;
}

export interface NewEpisode {
  id: () => string;
  source: string;
  organization: string | undefined;
  fingerprint: string;
}

/**
 * Decides one report.
 *
 * @param known the known episodes of this alert (same source, Organization and fingerprint), in any order
 * @param at when the delivery was received
 * @returns the transitions in order; the last one is the report's own, those before it are what it does to other episodes
 */
export function decideReport(
  known: readonly Episode[],
  report: Report,
  identity: NewEpisode,
  at: number,
): Transition[] {
  return report.status === 'firing'
    ? decideFiring(known, report, identity, at)
    : decideResolved(known, report, identity, at);
}

function decideFiring(known: readonly Episode[], report: Report, identity: NewEpisode, at: number): Transition[] {
  const open = known.find((episode) => episode.state === 'Firing');
  const start = report.startsAt ?? open?.startsAt ?? at;
  const about = episodeOfFiring(known, open, start);
  if (open && about === open) return [repeat(open, start, at)];
  if (open && about && about.startsAt < open.startsAt) {
    return [
      {
        kind: 'Stale',
        next: seen(about, at),
        sentence: `A late copy: this firing of ${iso(about.startsAt)} is over, a later one of ${iso(open.startsAt)} is open.`,
      },
    ];
  }
  if (open && !about && start < open.startsAt) return [repeat(open, start, at)];

  const transitions: Transition[] = open ? [supersede(open, start)] : [];
  if (!about) {
    const next = { ...newEpisode(identity, start, at), firedAt: at };
    transitions.push({ kind: 'Fired', next, sentence: `It fires since ${iso(start)}.` });
  } else if (about.firedAt === undefined) {
    const next: Episode = { ...seen(about, at), state: 'Firing', firedAt: at };
    transitions.push({
      kind: 'Fired',
      next,
      sentence: `It fires since ${iso(about.startsAt)}; only its end had been reported before.`,
    });
  } else {
    const next: Episode = { ...seen(about, at), state: 'Firing' };
    transitions.push({
      kind: 'Reopened',
      next,
      sentence: `It fires again with the same start ${iso(next.earliestStart)}: it had been reported resolved too early. It is not a new firing.`,
    });
  }
  return transitions;
}

function decideResolved(known: readonly Episode[], report: Report, identity: NewEpisode, at: number): Transition[] {
  const open = known.find((episode) => episode.state === 'Firing');
  const end = report.endsAt ?? at;
  const start = report.startsAt ?? open?.startsAt ?? end;
  const about = episodeOfResolved(known, open, start, end);
  if (about?.state === 'Resolved') {
    const next = { ...seen(about, at), endsAt: Math.max(about.endsAt ?? end, end) };
    return [{ kind: 'Repeat', next, sentence: 'Its end was reported before.' }];
  }
  if (about) {
    const next: Episode = {
      ...seen(about, at),
      state: 'Resolved',
      endsAt: Math.max(end, about.startsAt),
      earliestStart: earlier(about, start),
    };
    return [{ kind: 'ResolvedReported', next, sentence: `Its source reports it resolved since ${iso(end)}.` }];
  }
  const transitions: Transition[] = [];
  if (open && start > open.startsAt + overlapTolerance) transitions.push(supersede(open, start));
  // An earlier start was taken over from a report that, as this end shows, was about the firing before.
  for (const episode of known) {
    if (episode.earliestStart > end || end >= episode.startsAt) continue;
    const next = { ...episode, earliestStart: episode.startsAt };
    transitions.push({ kind: 'Corrected', next, sentence: `It fires since ${iso(episode.startsAt)}.` });
  }
  const next: Episode = { ...newEpisode(identity, start, at), state: 'Resolved', endsAt: end };
  transitions.push({
    kind: 'ResolvedUnknown',
    next,
    sentence: `Its source reports it resolved since ${iso(end)}; that it fired was never delivered, so nothing was done.`,
  });
  return transitions;
}

function episodeOfFiring(known: readonly Episode[], open: Episode | undefined, start: number): Episode | undefined {
  const exact = known.find((episode) => episode.startsAt === start);
  if (exact) return exact;
  if (open && start >= open.earliestStart && start <= open.startsAt + overlapTolerance) return open;
  // A new firing can begin soon after the end of the last one, never before it.
  return newest(
    known.filter((e) => e !== open && startsWith(e, start) && (e.endsAt === undefined || start <= e.endsAt)),
  );
}

function episodeOfResolved(
  known: readonly Episode[],
  open: Episode | undefined,
  start: number,
  end: number,
): Episode | undefined {
  const exact = known.find((episode) => episode.startsAt === start);
  if (exact) return exact;
  // What ended before an episode began was not that episode.
  if (open && start <= open.startsAt + overlapTolerance && end >= open.startsAt) return open;
  return newest(
    known.filter(
      (e) => e !== open && startsWith(e, start) && (e.endsAt === undefined || start <= e.endsAt) && end >= e.startsAt,
    ),
  );
}

function startsWith(episode: Episode, start: number): boolean {
  return (
    (start >= episode.earliestStart && start <= episode.startsAt) ||
    Math.abs(start - episode.startsAt) <= overlapTolerance
  );
}

function newest(episodes: readonly Episode[]): Episode | undefined {
  return episodes.reduce<Episode | undefined>((a, b) => (a && a.startsAt >= b.startsAt ? a : b), undefined);
}

function repeat(open: Episode, start: number, at: number): Transition {
  const next = { ...seen(open, at), earliestStart: earlier(open, start) };
  return { kind: 'Repeat', next, sentence: `It still fires, since ${iso(next.earliestStart)}.` };
}

function supersede(open: Episode, start: number): Transition {
  return {
    kind: 'Superseded',
    next: { ...open, state: 'Superseded' },
    sentence: `A firing that began at ${iso(start)} followed it; its own end was never reported.`,
  };
}

function seen(episode: Episode, at: number): Episode {
  return { ...episode, lastSeen: Math.max(episode.lastSeen, at), deliveries: episode.deliveries + 1 };
}

function earlier(episode: Episode, start: number): number {
  return Math.min(episode.earliestStart, start);
}

function newEpisode(identity: NewEpisode, start: number, at: number): Episode {
  return {
    id: identity.id(),
    source: identity.source,
    organization: identity.organization,
    fingerprint: identity.fingerprint,
    startsAt: start,
    earliestStart: start,
    endsAt: undefined,
    state: 'Firing',
    firedAt: undefined,
    firstSeen: at,
    lastSeen: at,
    deliveries: 1,
    incidentId: undefined,
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
