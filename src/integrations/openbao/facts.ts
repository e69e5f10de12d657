/** What can be observed of OpenBao. */
import { CatalystError } from '../../errors.ts';
import type { CallContext, FactDefinition } from '../contract.ts';
import type { OpenBaoClient, SealStatus } from './client.ts';

interface AskedPod {
  address: string;
  status: SealStatus;
}

/** The pods that answered. Throws when none did: nothing is known then. */
export async function askedPods(context: CallContext, client: OpenBaoClient): Promise<AskedPod[]> {
  const statuses = await client.statuses(context);
  const asked = statuses.filter((pod) => 'status' in pod);
  if (asked.length > 0) return asked;
  const first = statuses.find((pod) => 'error' in pod);
  throw new CatalystError(
    'UpstreamUnavailable',
    `no pod of OpenBao can be asked: ${first?.error ?? 'none is configured'}`,
    {
      certain: true,
      hint: 'Check that its pods run and that the addresses configured are theirs.',
    },
  );
}

export function openBaoFacts(client: () => OpenBaoClient, shares: () => Promise<readonly string[]>): FactDefinition[] {
  const asked = (context: CallContext) => askedPods(context, client());
  return [
    {
      name: 'openbao.reachable',
      description: 'Whether at least one pod answers.',
      returns: 'bool',
      example: true,
      read: async (context) => (await client().statuses(context)).some((pod) => 'status' in pod),
    },
    {
      name: 'openbao.status.sealed',
      description:
        'Whether any pod that can be asked is sealed. Pods that cannot are counted by openbao.status.unreachablePods.',
      returns: 'bool',
      example: false,
      read: async (context) => (await asked(context)).some(({ status }) => status.sealed),
    },
    {
      name: 'openbao.status.sealedPods',
      description: 'How many pods are sealed, of those that can be asked.',
      returns: 'int',
      example: 0,
      read: async (context) => (await asked(context)).filter(({ status }) => status.sealed).length,
    },
    {
      name: 'openbao.status.unreachablePods',
      description: 'How many pods cannot be asked.',
      returns: 'int',
      example: 0,
      read: async (context) => (await client().statuses(context)).filter((pod) => 'error' in pod).length,
    },
    {
      name: 'openbao.status.initialized',
      description: 'Whether every pod that can be asked is initialized.',
      returns: 'bool',
      example: true,
      read: async (context) => (await asked(context)).every(({ status }) => status.initialized),
    },
    {
      name: 'openbao.status.version',
      description: 'Version of the first pod that can be asked.',
      returns: 'string',
      example: '2.6.0',
      read: async (context) => (await asked(context))[0]?.status.version ?? '',
    },
    {
      name: 'openbao.active',
      description: 'Whether a pod is active, so that requests are served.',
      returns: 'bool',
      example: true,
      async read(context) {
        const answers = await Promise.allSettled(
          client().addresses.map((address) => client().active(context, address)),
        );
        if (answers.some((one) => one.status === 'fulfilled' && one.value)) return true;
        const failed = answers.find((one) => one.status === 'rejected');
        // A pod that did not answer could be the active one.
        if (failed !== undefined) throw failed.reason;
        return false;
      },
    },
    {
      name: 'openbao.unseal.shamir.shares.available',
      description: 'Whether the seal is Shamir and as many shares can be read here as an unseal needs.',
      returns: 'bool',
      example: true,
      async read(context) {
        const seals = (await asked(context)).map(({ status }) => status);
        const readable = await shares();
        return seals.every(({ type, threshold }) => type === 'shamir' && threshold > 0 && readable.length >= threshold);
      },
    },
  ];
}
