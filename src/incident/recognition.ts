/**
 * Incidents that facts announce: each check is looked at by one replica at a time, and what it finds goes the way of every
 * alert, as a delivery that is committed with the look. So it is correlated, recorded and ended like any other.
 */
import { factSource } from '../alert/alert.ts';
import { insertDeliveries } from '../alert/delivery-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import type { CallContext, FiringOracle } from '../integrations/contract.ts';
import { decideRecognition, type RecognitionState, type Seen } from './recognition-decision.ts';
import { claimRecognitions, readRecognition, saveRecognition } from './recognition-store.ts';

/** A check as this room knows it. Durations in ms. */
export interface Recogniser {
  name: string;
  type: string;
  title: string;
  organization: string | undefined;
  source: string;
  for: number;
  every: number;
  labels: Readonly<Record<string, string>>;
  /** Looks at the facts. Never throws; `holds` is undefined where it cannot be told. */
  look(context: CallContext): Promise<{ holds: Seen; sentence: string }>;
}

export interface RecognitionPorts {
  db: Database;
  clock: Clock;
  recognisers(): readonly Recogniser[];
}

/** Checks of one round; the loop comes again at once while there are more. */
const looksAtOnce = 20;
/** Limit of one look, ms; the claim outlasts all looks of a round, so that nobody else looks meanwhile. */
const lookFor = 10_000;
const claimFor = looksAtOnce * lookFor + 60_000;

/** One step of a loop. @returns how many checks were looked at, and how many alerts that raised or ended */
export async function recogniseDue({
  db,
  clock,
  recognisers,
}: RecognitionPorts): Promise<{ looked: number; told: number }> {
  const known = new Map(recognisers().map((one) => [one.name, one]));
  if (known.size === 0) return { looked: 0, told: 0 };
  const now = clock.now();
  const claimedUntil = now + claimFor;
  const due = await claimRecognitions(db, { names: [...known.keys()], now, claimedUntil, limit: looksAtOnce });
  const told = await Promise.all(
    due.map(async ({ name, ...state }) => {
      const recogniser = known.get(name);
      if (!recogniser) return false;
      const seen = await recogniser.look({ clock, signal: AbortSignal.timeout(lookFor) });
      return db
        .transaction()
        .execute((tx) => conclude(tx, recogniser, { state, seen, claimedUntil, now: clock.now() }));
    }),
  );
  return { looked: due.length, told: told.filter(Boolean).length };
}

interface Look {
  state: RecognitionState;
  seen: { holds: Seen; sentence: string };
  claimedUntil: number;
  now: number;
}

/** @returns whether an alert began or ended */
async function conclude(tx: Tx, recogniser: Recogniser, { state, seen, claimedUntil, now }: Look): Promise<boolean> {
  const move = decideRecognition(state, seen.holds, recogniser, now);
  const row = { name: recogniser.name, ...move.next, lookAt: move.lookAt, sentence: seen.sentence };
  // Whoever has taken it over meanwhile has looked, too.
  if (!(await saveRecognition(tx, row, claimedUntil)) || !move.alert) return false;
  const { organization, type, title, labels, source } = recogniser;
  const alert = {
    status: move.alert.status,
    labels: { ...labels, alertname: type },
    annotations: { summary: title, description: `${source}: ${seen.sentence}` },
    startsAt: new Date(move.alert.startsAt).toISOString(),
    ...(move.alert.status === 'resolved' ? { endsAt: new Date(now).toISOString() } : {}),
    generatorURL: `${urn}${recogniser.name}`,
  };
  const body = Buffer.from(JSON.stringify({ version: '4', receiver: factSource, alerts: [alert] }));
  await insertDeliveries(tx, [{ receivedAt: now, source: factSource, organization, body, traceparent: undefined }]);
  return true;
}

/** Names a check as the origin of an alert. */
const urn = 'urn:catalyst-sre:recognition:';
/** A check nobody has looked at for so long says nothing any more: it may have been taken out of its type. */
const staleAfter = 10 * 60_000;

/** Asks the checks about the alerts they raised, and somebody else about all others. */
export function recognitionOracle(db: Database, others: FiringOracle): FiringOracle {
  return {
    confirmFiring: async (context, alert) => {
      if (!alert.generatorUrl.startsWith(urn)) return others.confirmFiring(context, alert);
      const state = await readRecognition(db, alert.generatorUrl.slice(urn.length));
      const sentence = state?.sentence ?? 'Nobody has looked.';
      if (state?.lookedAt === undefined || context.clock.now() - state.lookedAt > staleAfter)
        return { answer: 'unknown', sentence: `Its check is not looked at any more. ${sentence}` };
      if (state.raisedAt === undefined) return { answer: 'notFiring', sentence };
      // Raised: over only when it has not held for its time.
      return { answer: state.holdingSince === undefined ? 'unknown' : 'firing', sentence };
    },
  };
}
