/** Alertmanager: which alerts it holds, and silences. */
import { CatalystError } from '../../errors.ts';
import type { CallContext, FactDefinition, FactType, Integration, Json } from '../contract.ts';
import { configured, healthOf, reachable, textArgument } from '../define.ts';
import type { Secrets } from '../secrets.ts';
import { expireSilenceAction, silenceAction } from './actions.ts';
import { AlertmanagerClient } from './client.ts';
import type { AlertmanagerConfig } from './schema.ts';
import { stateOf } from './state.ts';

export interface AlertmanagerPorts {
  secrets: Secrets;
}

export interface Alertmanager extends Integration {
  /** The alerts that fire for a receiver, in the shape of its webhook. Undefined where nothing is configured. */
  firingFor: ((context: CallContext, receiver: string) => Promise<Json[]>) | undefined;
}

export function createAlertmanager(
  config: AlertmanagerConfig | undefined,
  { secrets }: AlertmanagerPorts,
): Alertmanager {
  const made = config === undefined ? undefined : new AlertmanagerClient(config, secrets);
  const client = () => configured(made, 'alertmanager');
  return {
    name: 'alertmanager',
    description: 'Alerts as Alertmanager holds them, and silences.',
    configured: made !== undefined,
    facts: alertmanagerFacts(client),
    actions: [silenceAction(client), expireSilenceAction(client)],
    oracle: { confirmFiring: async (context, alert) => stateOf(context, client(), alert) },
    health: (context) =>
      healthOf(
        async () => `Alertmanager answers; it was started ${new Date(await client().startedAt(context)).toISOString()}`,
      ),
    stop: async () => made?.close(),
    firingFor: made && ((context, receiver) => made.firingFor(context, receiver)),
  };
}

function alertmanagerFacts(client: () => AlertmanagerClient): FactDefinition[] {
  const parameters = [
    { name: 'fingerprint', type: 'string' as FactType, description: 'Fingerprint of the alert: alert.fingerprint.' },
  ];
  const known = async (context: CallContext, args: readonly Json[]) => {
    const state = await stateOf(context, client(), { fingerprint: textArgument(args, 0, 'fingerprint'), labels: {} });
    if (state.answer === 'unknown') throw new CatalystError('UpstreamUnavailable', state.sentence, { certain: true });
    return state.answer;
  };
  return [
    {
      name: 'alertmanager.reachable',
      description: 'Whether Alertmanager answers.',
      returns: 'bool',
      example: true,
      read: (context) => reachable(() => client().startedAt(context)),
    },
    {
      name: 'alertmanager.firing',
      description: 'Whether Alertmanager holds the alert as firing, silenced or not.',
      parameters,
      returns: 'bool',
      example: true,
      read: async (context, args) => (await known(context, args)) !== 'notFiring',
    },
    {
      name: 'alertmanager.silenced',
      description: 'Whether a silence covers the alert.',
      parameters,
      returns: 'bool',
      example: false,
      read: async (context, args) => (await known(context, args)) === 'silenced',
    },
  ];
}
