/**
 * `openbao operator unseal`: gives shares to each sealed pod in turn until it is unsealed. There is no such flag as
 * --auto-shamir in OpenBao itself; the words are the handbook's, the calls are `POST /v1/sys/unseal`.
 */
import Type from 'typebox';
import { CatalystError } from '../../errors.ts';
import type { ActionDefinition, CallContext, EffectContext } from '../contract.ts';
import { defineAction } from '../define.ts';
import type { OpenBaoClient, PodStatus, SealStatus } from './client.ts';
import { askAll } from './facts.ts';

const Input = Type.Object(
  {
    autoShamir: Type.Boolean({
      description:
        'Must be true: the shares configured here are used. Without it a person gives them with bao operator unseal.',
      examples: [true],
    }),
  },
  { additionalProperties: false, description: 'How to unseal.' },
);

type Before = { sealed: string[]; unsealed: string[]; unreachable: string[]; threshold: number };

export function unsealAction(client: () => OpenBaoClient, shares: () => Promise<readonly string[]>): ActionDefinition {
  // Unseals that this process began, by pod: only these may be gone on with after a failure half-way.
  const ours = new Map<string, string>();
  return defineAction<typeof Input, Before>({
    name: 'openbao operator unseal',
    description: 'Unseals every sealed pod of OpenBao with the Shamir shares configured, and checks each one.',
    input: Input,
    example: 'openbao operator unseal --auto-shamir',
    effects: ['Change', 'ReadOnly'],
    idempotent: true,
    effect: (_, before) => (before.sealed.length === 0 ? 'ReadOnly' : 'Change'),
    describe: (_, before) =>
      before.sealed.length === 0
        ? 'Do nothing: no pod of OpenBao that can be asked is sealed'
        : `Give ${before.threshold} unseal shares to each of ${before.sealed.length} sealed pods: ${before.sealed.join(', ')}`,
    async capture(context, input) {
      if (!input.autoShamir) {
        throw new CatalystError('BadRequest', 'openbao operator unseal needs --auto-shamir here', {
          hint: 'Without it a person gives the shares: bao operator unseal.',
        });
      }
      const before = summary(await askAll(context, client()));
      // Too few shares, or a seal that is not Shamir: known before anything is promised.
      for (const { status } of before.pods.filter((pod) => pod.status.sealed)) refuseUnfit(status);
      if (before.sealed.length > 0) await enoughShares(shares, before.threshold);
      const { pods: _, ...journaled } = before;
      return journaled;
    },
    async execute(context) {
      const { sealed, unsealed, unreachable } = summary(await askAll(context, client()));
      const done: string[] = [];
      for (const address of sealed) {
        try {
          await unsealPod(context, client(), address, shares, ours);
        } catch (error) {
          throw done.length === 0 ? error : afterSome(error, done);
        }
        done.push(address);
      }
      const rest = unreachable.length === 0 ? '' : `; ${unreachable.join(', ')} could not be asked`;
      const sentence = done.length === 0 ? 'No pod of OpenBao was sealed any more' : `Unsealed ${done.join(', ')}`;
      return { sentence: `${sentence}${rest}`, result: { unsealed: done, alreadyUnsealed: unsealed, unreachable } };
    },
    async happened(context, _, before) {
      const now = summary(await client().statuses(context));
      const left = before.sealed.filter((address) => !now.unsealed.includes(address));
      if (left.length === 0) {
        const result = { unsealed: before.sealed, alreadyUnsealed: before.unsealed, unreachable: now.unreachable };
        return { answer: 'yes', sentence: 'every pod that was sealed is unsealed', result };
      }
      if (left.every((address) => now.sealed.includes(address))) {
        return { answer: 'no', sentence: `${left.join(', ')} ${left.length === 1 ? 'is' : 'are'} still sealed` };
      }
      return { answer: 'unknown', sentence: `${left.join(', ')} could not all be asked` };
    },
  });
}

function summary(statuses: readonly PodStatus[]): Before & { pods: { address: string; status: SealStatus }[] } {
  const pods = statuses.filter((pod) => 'status' in pod);
  return {
    pods,
    sealed: pods.filter(({ status }) => status.sealed).map(({ address }) => address),
    unsealed: pods.filter(({ status }) => !status.sealed).map(({ address }) => address),
    unreachable: statuses.filter((pod) => 'error' in pod).map(({ address }) => address),
    threshold: Math.max(0, ...pods.map(({ status }) => status.threshold)),
  };
}

/** Refuses a seal that shares do not open. */
function refuseUnfit(status: SealStatus): void {
  if (!status.initialized) {
    throw new CatalystError('InvalidState', 'OpenBao is not initialized, so there is nothing to unseal', {
      hint: 'A person initializes it once, with bao operator init.',
    });
  }
  if (status.type !== 'shamir') {
    throw new CatalystError('InvalidState', `the seal of OpenBao is ${status.type}, which unseals itself`, {
      hint: 'Look at the log of the pod: it says why its own unseal fails.',
    });
  }
}

async function enoughShares(shares: () => Promise<readonly string[]>, threshold: number): Promise<readonly string[]> {
  const readable = await shares();
  if (readable.length >= threshold) return readable;
  throw new CatalystError('InvalidState', `${readable.length} of the ${threshold} unseal shares needed can be read`, {
    hint: 'Complete the directory of shares, or unseal by hand with bao operator unseal.',
  });
}

async function unsealPod(
  context: EffectContext,
  client: OpenBaoClient,
  address: string,
  shares: () => Promise<readonly string[]>,
  ours: Map<string, string>,
): Promise<void> {
  let status = await client.sealStatus(context, address);
  if (!status.sealed) return;
  refuseUnfit(status);
  // Someone is in the middle of it. Their shares are not ours to complete, and resetting would undo their work.
  if (status.progress > 0 && ours.get(address) !== status.nonce) throw foreign(address, status, true);
  const readable = await enoughShares(shares, status.threshold);
  let given = 0;
  for (const share of readable) {
    const answer = await client.unseal(context, address, share);
    given++;
    if (!answer.sealed) break;
    const nonce = given === 1 && status.progress === 0 ? answer.nonce : status.nonce;
    if (answer.nonce !== nonce) throw foreign(address, answer, false);
    ours.set(address, nonce);
    status = answer;
  }
  ours.delete(address);
  await confirmUnsealed(context, client, address, given);
}

/** What the pod itself says afterwards counts, not the answer to the last share. */
async function confirmUnsealed(
  context: CallContext,
  client: OpenBaoClient,
  address: string,
  given: number,
): Promise<void> {
  const status = await client.sealStatus(context, address);
  if (!status.sealed) return;
  throw new CatalystError('UpstreamRefused', `${address} is still sealed after ${given} shares`, {
    certain: false,
    hint: 'The shares may belong to another key: compare their date with that of the last rekey.',
  });
}

function foreign(address: string, status: SealStatus, certain: boolean): CatalystError {
  return new CatalystError(
    'Conflict',
    `someone else is unsealing ${address} (${status.progress} of ${status.threshold} shares given)`,
    {
      certain,
      details: { reason: 'UnsealUnderWay', address, progress: status.progress, threshold: status.threshold },
      hint: 'Let them finish. If nobody is, reset it with bao operator unseal -reset and start the runbook again.',
    },
  );
}

/** An error on a later pod: the earlier ones have been unsealed. */
function afterSome(error: unknown, done: readonly string[]): unknown {
  if (!(error instanceof CatalystError)) return error;
  const { code, message, hint, details } = error;
  return new CatalystError(code, `${message} (after ${done.join(', ')} had been unsealed)`, {
    cause: error,
    certain: false,
    details: { ...details, unsealed: [...done] },
    ...(hint === undefined ? {} : { hint }),
  });
}
