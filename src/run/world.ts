/**
 * The world as a run sees it: facts to read, actions to carry out, targets to bind, oracles to ask. Made from the
 * integrations by `app/`, and from a document by `runbook test`.
 */
import type { FactReader, Vocabulary } from '../check/check.ts';
import type { AlertQuestion, CallContext, TargetProvider } from '../integrations/contract.ts';

export interface FiringAnswer {
  answer: 'firing' | 'notFiring' | 'silenced' | 'unknown';
  sentence: string;
}

export interface World {
  vocabulary: Vocabulary;
  /** A reader for one evaluation; what it reads is at most as old as the reader. */
  reader(context: CallContext): FactReader;
  /** Who knows objects of this kind, if anyone. */
  targets(kind: string): TargetProvider | undefined;
  confirmFiring(context: CallContext, alert: AlertQuestion): Promise<FiringAnswer>;
  /** Spent share of the Organization's budget, or why it is not known. */
  budget(
    context: CallContext,
    organization: string | undefined,
  ): Promise<{ state: 'notSet' } | { state: 'known'; ratio: number } | { state: 'unknown'; sentence: string }>;
}

/**
 * One answer from many. Silenced by anyone counts: people asked for quiet. Otherwise the first definite answer counts, so
 * that the source nearest to the truth stands first (Prometheus before Alertmanager, which keeps an alert until its end
 * time has passed).
 */
export function combineAnswers(answers: readonly FiringAnswer[]): FiringAnswer {
  const silenced = answers.find((a) => a.answer === 'silenced');
  const definite = answers.find((a) => a.answer !== 'unknown');
  if (silenced) return silenced;
  if (definite) return definite;
  const sentence =
    answers.length === 0
      ? 'Neither Prometheus nor Alertmanager is configured.'
      : answers.map((a) => a.sentence).join(' ');
  return { answer: 'unknown', sentence };
}
