/** What can be observed of OpenBao. */
import { CatalystError } from '../../errors.ts';
import type { CallContext, FactDefinition } from '../contract.ts';
import type { OpenBaoClient, PodStatus, SealStatus } from './client.ts';

interface AskedPod {
  address: string;
  status: SealStatus;
}

/** What each pod said. Throws when none said anything: nothing is known then. */
export async function askAll(context: CallContext, client: OpenBaoClient): Promise<PodStatus[]> {
  const statuses = await client.statuses(context);
  if (statuses.some((pod) => 'status' in pod)) return statuses;
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

/** The pods that answered. Throws when none did. */
export async function askedPods(context: CallContext, client: OpenBaoClient): Promise<AskedPod[]> {
  return (await askAll(context, client)).filter((pod) => 'status' in pod);
}

export function openBaoFacts(client: () => OpenBaoClient, shares: () => Promise<readonly string[]>): FactDefinition[] {
  return [
    fact('openbao.reachable', 'Whether at least one pod answers.', true, async (context) =>
      (await client().statuses(context)).some((pod) => 'status' in pod),
    ),
    ...sealFacts(client),
    fact('openbao.active', 'Whether a pod is active, so that requests are served.', true, (context) =>
      isActive(context, client()),
    ),
    fact(
      'openbao.unseal.shamir.shares.available',
      'Whether the seal is Shamir and as many shares can be read here as an unseal needs.',
      true,
      async (context) => {
        const asked = await askedPods(context, client());
        const readable = await shares();
        return asked.every(
          ({ status }) => status.type === 'shamir' && status.threshold > 0 && readable.length >= status.threshold,
        );
      },
    ),
  ];
}

function sealFacts(client: () => OpenBaoClient): FactDefinition[] {
  const asked = (context: CallContext) => askedPods(context, client());
  return [
    fact(
      'openbao.status.sealed',
      'Whether any pod that can be asked is sealed. Pods that cannot are counted by openbao.status.unreachablePods.',
      false,
      async (context) => (await asked(context)).some(({ status }) => status.sealed),
    ),
    fact(
      'openbao.status.sealedPods',
      'How many pods are sealed, of those that can be asked.',
      0,
      async (context) => (await asked(context)).filter(({ status }) => status.sealed).length,
    ),
    fact(
      'openbao.status.unreachablePods',
      'How many pods cannot be asked.',
      0,
      async (context) => (await client().statuses(context)).filter((pod) => 'error' in pod).length,
    ),
    fact('openbao.status.initialized', 'Whether every pod that can be asked is initialized.', true, async (context) =>
      (await asked(context)).every(({ status }) => status.initialized),
    ),
    fact(
      'openbao.status.version',
      'Version of the first pod that can be asked.',
      '2.6.0',
      async (context) => (await asked(context))[0]?.status.version ?? '',
    ),
  ];
}

/** A fact without parameters, whose type is that of its example. */
function fact(
  name: string,
  description: string,
  example: boolean | number | string,
  read: (context: CallContext) => Promise<boolean | number | string>,
): FactDefinition {
  const returns = typeof example === 'boolean' ? 'bool' : typeof example === 'number' ? 'int' : 'string';
  // Async, so that what is thrown before the first wait is a rejection too.
  return { name, description, returns, example, read: async (context) => read(context) };
}

async function isActive(context: CallContext, client: OpenBaoClient): Promise<boolean> {
  const answers = await Promise.allSettled(client.addresses.map((address) => client.active(context, address)));
  if (answers.some((one) => one.status === 'fulfilled' && one.value)) return true;
  const failed = answers.find((one) => one.status === 'rejected');
  // A pod that did not answer could be the active one.
  if (failed !== undefined) throw failed.reason;
  return false;
}
