/**
 * Who agrees to a takeover: every gate in automatic mode, people otherwise. An approval never outlives what it was given
 * for, and everything is looked at again at the moment it counts.
 */
import { peerDeadMs } from './deadline.ts';
import type { Lease } from './lease.ts';
import type { Candidacy, EventOf, FailoverState, Proposal, Reason } from './protocol.ts';
import { freshId, page, record, seconds, type Turn } from './turn.ts';

/** Lag and pre-flight are measured every minute; what is older than three rounds is not known any more. */
const assessmentMaxAge = 180_000;
const day = 86_400_000;

interface Objection {
  reason: Reason;
  sentence: string;
  /** What makes a person's consent enough. */
  needs: 'approval' | 'acceptLoss' | 'force';
}

/** Everything that speaks against a takeover now. `proven`: the peer itself has said that it has closed everything. */
function objections(turn: Turn, proven: boolean): Objection[] {
  return [...preflight(turn), ...replication(turn), ...(proven ? [] : resolverObjections(turn)), ...antiFlap(turn)];
}

/** What an assessment says against acting on it: checks that failed, or that it is missing or old. */
function preflight({ at, state }: Turn): Objection[] {
  const { assessment } = state;
  if (!assessment || at - assessment.at > assessmentMaxAge)
    return [
      {
        reason: 'PreflightFailed',
        sentence: 'The pre-flight checks have not run in the last three minutes.',
        needs: 'force',
      },
    ];
  if (assessment.failedChecks.length === 0) return [];
  return [
    {
      reason: 'PreflightFailed',
      sentence: `Pre-flight checks failed: ${assessment.failedChecks.join(', ')}.`,
      needs: 'force',
    },
  ];
}

function replication({ at, state }: Turn): Objection[] {
  const { assessment, settings } = state;
  const fresh = assessment !== undefined && at - assessment.at <= assessmentMaxAge;
  return settings.components.flatMap(({ name, rpoMs }): Objection[] => {
    const measured = fresh ? assessment.components.find(({ component }) => component === name) : undefined;
    const verdict = measured?.verdict ?? 'unknown';
    if (verdict === 'ok') return [];
    if (verdict === 'unknown')
      return [{ reason: 'RpoUnknown', sentence: `The lag of ${name} is unknown.`, needs: 'acceptLoss' }];
    const lag = measured?.lagMs === undefined ? 'more than that' : seconds(measured.lagMs);
    return [{ reason: 'RpoOver', sentence: `${name} may lag ${seconds(rpoMs)} and lags ${lag}.`, needs: 'acceptLoss' }];
  });
}

/** What resolvers say against acting while the peer may still serve on their evidence. */
export function resolverObjections({ at, state }: Turn): Objection[] {
  const { dnsFallback, parameters, peer } = state.settings;
  if (dnsFallback === 'hold') return [];
  if (at - state.peerAliveAt < parameters.dnsVetoMs)
    return [
      {
        reason: 'ResolverVeto',
        sentence: `A resolver saw ${peer} active ${seconds(at - state.peerAliveAt)} ago.`,
        needs: 'force',
      },
    ];
  if (dnsFallback === 'veto' || dnsFallback === 'promote') return [];
  const dead = peerDeadMs(state, at);
  if (dead >= parameters.dnsVetoMs) return [];
  const sentence = `Resolvers call ${peer} dead for ${seconds(dead)} of ${seconds(parameters.dnsVetoMs)}.`;
  return [{ reason: 'ResolversUndecided', sentence, needs: 'force' }];
}

function antiFlap({ at, state }: Turn): Objection[] {
  const { dwellMs, maxTakeovers } = state.settings.parameters;
  const recent = state.takeovers.filter((time) => at - time < day).length;
  if (recent >= maxTakeovers)
    return [
      { reason: 'Flapping', sentence: `There were ${recent} unplanned takeovers in the last day.`, needs: 'approval' },
    ];
  if (state.changedAt === undefined || at - state.changedAt >= dwellMs) return [];
  const sentence = `The active region changed ${seconds(at - state.changedAt)} ago; ${seconds(dwellMs)} must pass.`;
  return [{ reason: 'Flapping', sentence, needs: 'approval' }];
}

/** Decides on an unplanned takeover. Without consent it leaves a proposal behind, and tells people. */
export function consent(turn: Turn, last: Lease | undefined, proven: boolean): Candidacy {
  const { state } = turn;
  const { mode, region } = state.settings;
  const against = objections(turn, proven);
  const lost = last ? `${last.holder || 'The holder'} lost epoch ${last.epoch}` : 'The register is empty';
  if (mode === 'Automatic' && against.length === 0) {
    const acquiredBy = { mode, actor: region, reason: `${lost}, and every gate passes.` };
    return { go: 'takeover', acquiredBy, last };
  }
  const epoch = last?.epoch ?? state.maxEpoch;
  const agreed = approved(turn, epoch, against);
  if (agreed) return { go: 'takeover', acquiredBy: { mode, ...agreed }, last };
  propose(turn, 'takeover', epoch, `${lost}. ${against.map(({ sentence }) => sentence).join(' ')}`.trim());
  const first = against[0];
  if (first) return { wait: first.reason, sentence: first.sentence };
  const { proposal } = state;
  return {
    wait: 'WaitingForApproval',
    sentence: `${lost}; ${region} may take over when ${proposal?.needed} of the people on call approve.`,
  };
}

/** Who approved, when the open proposal is for this epoch, has enough people, and they agreed to all that speaks against it. */
function approved({ at, state }: Turn, epoch: number, against: readonly Objection[]) {
  const { proposal } = state;
  if (proposal?.kind !== 'takeover' || proposal.epoch !== epoch || at >= proposal.expiresAt) return undefined;
  const mustAccept = against.some(({ needs }) => needs === 'acceptLoss');
  const mustForce = against.some(({ needs }) => needs === 'force');
  const agreeing = proposal.approvals.filter(
    ({ acceptLoss, force }) => (!mustAccept || acceptLoss) && (!mustForce || force !== undefined),
  );
  if (agreeing.length < proposal.needed) return undefined;
  return {
    actor: agreeing.map(({ actor }) => actor).join(', '),
    reason: agreeing.map(({ reason }) => reason).join('; '),
  };
}

/** How many different people a decision takes. */
function peopleFor(mode: FailoverState['settings']['mode']): number {
  return mode === 'Manual' ? 2 : 1;
}

function propose(turn: Turn, kind: Proposal['kind'], epoch: number, sentence: string): Proposal {
  const { at, state } = turn;
  const { parameters, mode, group, region } = state.settings;
  const open = state.proposal;
  if (open?.kind === kind && open.epoch === epoch && at < open.expiresAt) return open;
  const needed = peopleFor(mode);
  const proposal = {
    id: freshId(turn),
    kind,
    epoch,
    needed,
    expiresAt: at + parameters.approvalMs,
    sentence,
    approvals: [],
  };
  state.proposal = proposal;
  record(turn, 'proposed', epoch, sentence, { proposal: proposal.id, kind, needed });
  page(turn, 'critical', `${group} needs a decision on a ${kind} at ${region}: ${sentence}`);
  return proposal;
}

/**
 * Why an approval cannot be taken, as a sentence for the person; undefined when it can. `step` looks again, whatever was
 * answered before.
 */
export function refusedApproval(state: FailoverState, event: EventOf<'approve'>): string | undefined {
  const { proposal } = state;
  if (!proposal || proposal.id !== event.proposal) return 'There is no such open proposal.';
  if (event.at >= proposal.expiresAt) return 'The proposal has expired.';
  if (event.actor.trim() === '') return 'An approval needs a name.';
  if (proposal.needed > 1 && event.reason.trim() === '') return 'In manual mode an approval needs a typed reason.';
  if (event.force !== undefined && (event.force.trim() === '' || event.reason.trim() === ''))
    return 'Force needs a reason, and how you know that the peer is down.';
  if (proposal.approvals.some(({ actor }) => actor === event.actor)) return `${event.actor} has approved already.`;
  return undefined;
}

export function absorbApproval(turn: Turn, event: EventOf<'approve'>): void {
  const { state } = turn;
  const { proposal } = state;
  if (!proposal || refusedApproval(state, event)) return;
  const { at, actor, reason, acceptLoss, force } = event;
  state.proposal = { ...proposal, approvals: [...proposal.approvals, { at, actor, reason, acceptLoss, force }] };
  const facts = { proposal: proposal.id, actor, reason, acceptLoss, force: force ?? null };
  record(turn, 'approved', proposal.epoch, `${actor} approved the ${proposal.kind}.`, facts);
}

export function absorbRejection(turn: Turn, { proposal: id, actor, reason }: EventOf<'reject'>): void {
  const { proposal } = turn.state;
  if (proposal?.id !== id) return;
  record(turn, 'rejected', proposal.epoch, `${actor} rejected the ${proposal.kind}: ${reason}`, {
    proposal: id,
    actor,
    reason,
  });
  // It stays, without approvals, so that it is not proposed again on the next step.
  turn.state.proposal = { ...proposal, approvals: [] };
}

/** Why this region cannot start a planned switchover now; undefined when it can. */
export function refusedSwitchover(turn: Pick<Turn, 'at' | 'state'>): string | undefined {
  const { state } = turn;
  const { hold } = state;
  if (!hold || hold.statefulFenced) return `${state.settings.region} is not active.`;
  if (hold.plan.phase !== 'active') return 'Another plan is under way.';
  const full = { ...turn, effects: [] };
  return [...preflight(full), ...replication(full)][0]?.sentence;
}

/** A person asked for a planned switchover: their own consent counts, and in manual mode a second person's is awaited. */
export function absorbSwitchover(turn: Turn, event: EventOf<'switchover'>): void {
  const { hold } = turn.state;
  const { actor, reason, at } = event;
  const refused =
    actor.trim() === '' || reason.trim() === '' ? 'A switchover needs a name and a reason.' : refusedSwitchover(turn);
  if (refused || !hold) {
    record(turn, 'rejected', hold?.epoch ?? 0, `The switchover was refused. ${refused}`, { actor, reason });
    return;
  }
  const proposal = propose(turn, 'switchover', hold.epoch, `${actor} asks for it: ${reason}`);
  absorbApproval(turn, {
    type: 'approve',
    at,
    proposal: proposal.id,
    actor,
    reason,
    acceptLoss: false,
    force: undefined,
  });
}

/** The person and reason of a switchover that has all its approvals and may still be done; looked at anew on every step. */
export function agreedSwitchover({ at, state }: Turn): { actor: string; reason: string } | undefined {
  const { proposal, hold } = state;
  if (proposal?.kind !== 'switchover' || !hold || proposal.epoch !== hold.epoch) return undefined;
  if (at >= proposal.expiresAt || proposal.approvals.length < proposal.needed) return undefined;
  if (refusedSwitchover({ at, state })) return undefined;
  const actor = proposal.approvals.map((approval) => approval.actor).join(', ');
  return { actor, reason: proposal.approvals[0]?.reason ?? '' };
}
