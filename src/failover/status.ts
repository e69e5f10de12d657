/** What a controller says about its groups: for `failover status`, the API and the metrics. Pure. */
import type { Assessment } from './assessor.ts';
import type { GateReading } from './layers/gate.ts';
import type { CheckResult } from './layers/layer.ts';
import type { RpoReading } from './layers/rpo-decision.ts';
import type { FailoverSettings, FailoverState, Layer, Proposal, Step } from './protocol.ts';

export interface WitnessStatus {
  name: string;
  reachable: boolean;
  /** Since its last answer; null when it never answered. */
  answeredAgoMs: number | null;
  holder: string | null;
  epoch: number | null;
  expired: boolean | null;
}

export interface GroupStatus {
  group: string;
  region: string;
  peer: string;
  mode: string;
  /** Whether this region holds the lease and its gate is open. */
  active: boolean;
  /** Who holds the lease as far as this region knows; null when nobody was seen to. */
  holder: string | null;
  epoch: number;
  reason: string;
  sentence: string;
  /** Until the gate shuts by itself; 0 while it is shut. */
  secondsToFence: number;
  gates: Record<Layer, { open: boolean; epoch: number; sentence: string }>;
  witnesses: readonly WitnessStatus[];
  components: readonly RpoReading[];
  failedChecks: readonly CheckResult[];
  checks: number;
  proposal: { id: string; kind: string; needed: number; approvals: readonly string[]; expiresInSeconds: number } | null;
  /** What other systems have not been told yet, and why the group does not run as it is declared. */
  problems: readonly string[];
}

export interface StatusInput {
  settings: FailoverSettings;
  state: FailoverState;
  step: Step | undefined;
  gates: Record<Layer, GateReading>;
  assessment: Assessment;
  problems: readonly string[];
  /** Elapsed ms. */
  now: number;
}

export function groupStatus({ settings, state, step, gates, assessment, problems, now }: StatusInput): GroupStatus {
  const witnesses = settings.witnesses.map((name) => witnessStatus(name, state, settings, now));
  const newest = witnesses.reduce<WitnessStatus | undefined>(
    (best, one) => ((one.epoch ?? -1) > (best?.epoch ?? -1) ? one : best),
    undefined,
  );
  const holding = state.hold !== undefined && Object.values(gates).some((gate) => gate.open);
  return {
    group: settings.group,
    region: settings.region,
    peer: settings.peer,
    mode: settings.mode,
    active: holding,
    holder: holding ? settings.region : newest?.holder || null,
    epoch: state.maxEpoch,
    reason: step?.reason ?? 'BootFence',
    sentence: step?.sentence ?? 'The controller has just started.',
    secondsToFence: Math.round(gates.traffic.remainingMs / 100) / 10,
    gates: {
      traffic: gateStatus(gates.traffic),
      mesh: gateStatus(gates.mesh),
      stateful: gateStatus(gates.stateful),
    },
    witnesses,
    components: assessment.components,
    failedChecks: assessment.checks.filter((check) => check.verdict !== 'passed'),
    checks: assessment.checks.length,
    proposal: state.proposal ? proposalStatus(state.proposal, now) : null,
    problems,
  };
}

function gateStatus({ open, epoch, sentence }: GateReading) {
  return { open, epoch, sentence };
}

/** A witness that has not answered for a whole TTL is not reachable. */
export function witnessStatus(
  name: string,
  state: FailoverState,
  settings: FailoverSettings,
  now: number,
): WitnessStatus {
  const view = state.witnesses[name];
  const answeredAgoMs = view?.answeredAt === undefined ? null : Math.max(0, Math.round(now - view.answeredAt));
  return {
    name,
    reachable: answeredAgoMs !== null && answeredAgoMs <= settings.parameters.ttlMs,
    answeredAgoMs,
    holder: view?.lease?.holder ?? null,
    epoch: view?.lease?.epoch ?? null,
    expired: view?.expired ?? null,
  };
}

function proposalStatus(proposal: Proposal, now: number) {
  const { id, kind, needed, approvals, expiresAt } = proposal;
  return {
    id,
    kind,
    needed,
    approvals: approvals.map((approval) => approval.actor),
    expiresInSeconds: Math.max(0, Math.round((expiresAt - now) / 1000)),
  };
}
