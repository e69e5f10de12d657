import type { Vocabulary } from '../check/check.ts';
import { createFactReader } from '../check/fact-reader.ts';
import { CatalystError, messageOf } from '../errors.ts';
import type { ActionDefinition, CallContext, FactDefinition, Integration } from '../integrations/contract.ts';
import { combineAnswers, type FiringAnswer, type World } from '../run/world.ts';

/** What runbooks may name: the facts and actions of all integrations, configured or not. */
export function vocabularyOf(integrations: readonly Integration[]): Vocabulary {
  const facts = new Map<string, FactDefinition>();
  const actions = new Map<string, ActionDefinition>();
  for (const integration of integrations) {
    for (const fact of integration.facts) facts.set(fact.name, fact);
    for (const action of integration.actions) actions.set(action.name, action);
  }
  return { facts, actions };
}

/** Who is asked whether an alert still fires, nearest to the truth first (see `combineAnswers`). */
const oracleOrder = ['prometheus', 'alertmanager'];

/** The world of the integrations that are configured. */
export function worldOf(integrations: readonly Integration[]): World {
  const configured = integrations.filter((integration) => integration.configured);
  const vocabulary = vocabularyOf(integrations);
  const oracles = oracleOrder.flatMap((name) => configured.find((i) => i.name === name)?.oracle ?? []);
  const provider = configured.find((integration) => integration.targets)?.targets;
  const spentRatio = configured.some((i) => i.name === 'budget')
    ? vocabulary.facts.get('budget.spentRatio')
    : undefined;
  const reader: World['reader'] = ({ clock, signal, traceparent }) =>
    createFactReader({ clock, signal, ...(traceparent === undefined ? {} : { traceparent }) });
  return {
    vocabulary,
    reader,
    // Every kind is Kubernetes' today; a second provider will have to say which kinds are its own.
    targets: () => provider,
    confirmFiring: async (context, alert) => {
      const ask = async (oracle: (typeof oracles)[number]): Promise<FiringAnswer> => {
        try {
          return await oracle.confirmFiring(context, alert);
        } catch (error) {
          return { answer: 'unknown', sentence: messageOf(error) };
        }
      };
      return combineAnswers(await Promise.all(oracles.map(ask)));
    },
    budget: async (context: CallContext, organization) => {
      if (!spentRatio) return { state: 'notSet' };
      try {
        // What belongs to no Organization is the Sovereign's own, whose repositories are under `system`.
        return { state: 'known', ratio: Number(await reader(context).read(spentRatio, [organization ?? 'system'])) };
      } catch (error) {
        if (error instanceof CatalystError && error.code === 'NotFound') return { state: 'notSet' };
        return { state: 'unknown', sentence: messageOf(error) };
      }
    },
  };
}
