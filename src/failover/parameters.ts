/**
 * The numbers of the failover protocol and the inequalities between them. A configuration that breaks one is refused
 * before anything starts: a lease whose margins do not add up is worse than none.
 */
import { type Static, Type } from 'typebox';

const ms = (value: number, description: string) =>
  Type.Integer({ minimum: 0, default: value, description: `${description} In milliseconds.` });

/** Durations in milliseconds; the defaults follow handbook §2.4 (renew every 10 s, TTL 30 s). */
export const Parameters = Type.Object(
  {
    ttlMs: ms(30_000, 'T: how long a lease lasts after a write, by the witness.'),
    renewMs: ms(10_000, 'R: how often the active side renews.'),
    retryMs: ms(2_000, 'How long a witness or resolver may take to answer, and how soon a failed renewal is repeated.'),
    clockError: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 0.05,
      description:
        'eps: how much faster or slower than real time a clock may run. 0.05 is far above any crystal; time daemons that slew more need more.',
    }),
    fenceMs: ms(8_000, 'F: how long an orderly fence of the stateful components may take.'),
    softMs: ms(
      18_000,
      'L_soft: so long after the send of the last acknowledged renewal the active side starts to fence itself.',
    ),
    hardMs: ms(26_000, 'L_hard: so long after it the gates refuse by themselves, whatever the controller does.'),
    waitMs: ms(30_000, 'T_wait: how long the standby must see no change of the lease, by its own clock.'),
    promiseMs: ms(30_000, 'P: how long a promise of the peer holds.'),
    pollMs: ms(2_000, 'How often the standby reads the witness.'),
    dnsSampleMs: ms(2_000, 'How often resolvers are asked while it matters.'),
    dnsSoftMs: ms(
      6_000,
      'So long after the last round in which resolvers saw it, a region that lives on that evidence starts to fence.',
    ),
    dnsHardMs: ms(14_000, 'So long after it the gates refuse by themselves.'),
    dnsVetoMs: ms(18_000, 'H_veto: so long without a break resolvers must call the peer dead before a takeover.'),
    dnsPromoteMs: ms(
      330_000,
      'H_dns: so long before a takeover without the witness, with dnsFallback promote. Negative answers may be cached for 300 s (RFC 9520 §3.2).',
    ),
    dwellMs: ms(900_000, 'No takeover without a person so soon after the last change of the active region.'),
    maxTakeovers: Type.Integer({ minimum: 0, default: 2, description: 'Unplanned takeovers a day without a person.' }),
    approvalMs: ms(900_000, 'How long an approval stands.'),
    switchoverMs: ms(120_000, 'A planned switchover that has not released the lease by then is taken back.'),
    stepRetryMs: ms(5_000, 'How soon a failed step of a plan is repeated.'),
  },
  { additionalProperties: false },
);
export type Parameters = Static<typeof Parameters>;

/** The defaults as a value. */
export const defaultParameters: Parameters = Object.fromEntries(
  Object.entries(Parameters.properties).map(([name, schema]) => [name, 'default' in schema ? schema.default : 0]),
) as Parameters;

/** A rule a configuration breaks: the inequality with names, with its numbers, and what goes wrong without it. */
export interface BrokenRule {
  rule: string;
  numbers: string;
  sentence: string;
}

/**
 * Every rule the parameters break; none when they may be used. With eps the clock-rate error, a duration L measured here
 * takes at most L/(1-eps) of real time, and a duration measured there at least L/(1+eps).
 */
export function brokenRules(p: Parameters, uses: { resolvers: boolean; promote: boolean }): BrokenRule[] {
  const slow = (duration: number) => duration / (1 - p.clockError);
  const fast = (duration: number) => duration / (1 + p.clockError);
  const rules: (BrokenRule | undefined)[] = [
    atMost(
      'R + 3*retry <= L_soft',
      [p.renewMs, 3 * p.retryMs],
      [p.softMs],
      'A renewal must have three more tries before the fence starts.',
    ),
    atMost(
      'L_soft + F <= L_hard',
      [p.softMs, p.fenceMs],
      [p.hardMs],
      'The orderly fence must end before the gates cut.',
    ),
    less(
      'L_hard/(1-eps) < T/(1+eps)',
      slow(p.hardMs),
      fast(p.ttlMs),
      'The slowest clock of the active side must cut before the fastest of the standby takes over.',
    ),
    less(
      'L_hard/(1-eps) < P/(1+eps)',
      slow(p.hardMs),
      fast(p.promiseMs),
      'A promise must outlast what is served on it.',
    ),
    atMost('T <= T_wait', [p.ttlMs], [p.waitMs], 'The standby must watch for at least one TTL.'),
    atMost('poll <= R', [p.pollMs], [p.renewMs], 'The standby must see every renewal.'),
  ];
  if (uses.resolvers) {
    rules.push(
      atMost(
        'L_dnsSoft + F <= L_dnsHard',
        [p.dnsSoftMs, p.fenceMs],
        [p.dnsHardMs],
        'The orderly fence must end before the gates cut.',
      ),
      atMost(
        'sample + 2*retry <= L_dnsSoft',
        [p.dnsSampleMs, 2 * p.retryMs],
        [p.dnsSoftMs],
        'One lost round of questions must not fence.',
      ),
      less(
        'L_dnsHard/(1-eps) + sample < H_veto/(1+eps)',
        slow(p.dnsHardMs) + p.dnsSampleMs,
        fast(p.dnsVetoMs),
        'The active side must have cut before resolvers have called it dead for long enough.',
      ),
    );
  }
  if (uses.promote)
    rules.push(
      atMost(
        '300 s <= H_dns',
        [300_000],
        [p.dnsPromoteMs],
        'A resolver may repeat a failure for 300 s (RFC 9520 §3.2).',
      ),
    );
  return rules.filter((rule) => rule !== undefined);
}

function atMost(rule: string, left: number[], right: number[], sentence: string): BrokenRule | undefined {
  const [a, b] = [sum(left), sum(right)];
  if (a <= b) return undefined;
  return { rule, numbers: `${left.map(seconds).join(' + ')} = ${seconds(a)} > ${seconds(b)}`, sentence };
}

function less(rule: string, left: number, right: number, sentence: string): BrokenRule | undefined {
  return left < right ? undefined : { rule, numbers: `${seconds(left)} >= ${seconds(right)}`, sentence };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(2))} s`;
}
