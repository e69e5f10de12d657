/** OpenBao: whether it is sealed, and unsealing it. */
import type { Integration } from '../contract.ts';
import { configured, healthOf } from '../define.ts';
import type { Secrets } from '../secrets.ts';
import { OpenBaoClient } from './client.ts';
import { askedPods, openBaoFacts } from './facts.ts';
import type { OpenBaoConfig } from './schema.ts';
import { readShares } from './shares.ts';
import { unsealAction } from './unseal.ts';

export interface OpenBaoPorts {
  secrets: Secrets;
}

export function createOpenBao(config: OpenBaoConfig | undefined, { secrets }: OpenBaoPorts): Integration {
  const made = config === undefined ? undefined : new OpenBaoClient(config, secrets);
  const client = () => configured(made, 'openbao');
  const shares = () => readShares(config?.sharesDirectory, secrets);
  return {
    name: 'openbao',
    description: 'The secrets store: its seal, and unsealing it.',
    configured: made !== undefined,
    facts: openBaoFacts(client, shares),
    actions: [unsealAction(client, shares)],
    health: (context) =>
      healthOf(async () => {
        const asked = await askedPods(context, client());
        return `${asked.length} of ${client().addresses.length} pods of OpenBao answer`;
      }),
    stop: async () => made?.close(),
  };
}
