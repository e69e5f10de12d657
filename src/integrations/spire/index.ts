/** SPIRE: the health its server gives on the listener of `health_checks`. */
import type { CallContext, FactDefinition, Integration } from '../contract.ts';
import { configured, healthOf } from '../define.ts';
import { createHttpClient } from '../http-client.ts';
import type { SpireConfig } from './schema.ts';

export function createSpire(config: SpireConfig | undefined): Integration {
  const made =
    config === undefined
      ? undefined
      : createHttpClient({ system: 'SPIRE', baseUrl: config.url, timeoutMs: 5_000, maxBytes: 64 * 1024 });
  const ask = async (context: CallContext, path: string) => {
    // The listener answers 500 for "no"; any other status is not its answer, and no answer at all is an error.
    const answer = await configured(made, 'spire').request(context, { path, accept: [500] });
    return answer.status === 200;
  };
  const live = (context: CallContext) => ask(context, config?.livePath ?? '/live');
  const ready = (context: CallContext) => ask(context, config?.readyPath ?? '/ready');
  return {
    name: 'spire',
    description: 'Workload identity: the health of the SPIRE server.',
    configured: made !== undefined,
    facts: spireFacts(live, ready),
    actions: [],
    health: (context) => healthOf(async () => `the SPIRE server is ${(await ready(context)) ? 'ready' : 'not ready'}`),
    stop: async () => made?.close(),
  };
}

type Probe = (context: CallContext) => Promise<boolean>;

function spireFacts(live: Probe, ready: Probe): FactDefinition[] {
  const fact = (name: string, description: string, read: Probe): FactDefinition => ({
    name,
    description,
    returns: 'bool',
    example: true,
    read,
  });
  return [
    fact('spire.server.live', 'Whether the SPIRE server is alive.', live),
    fact('spire.server.ready', 'Whether the SPIRE server is ready to issue identities.', ready),
    fact('spire.server.healthy', 'Whether the SPIRE server is alive and ready.', async (context) => {
      const answers = await Promise.all([live(context), ready(context)]);
      return answers.every((answer) => answer);
    }),
  ];
}
