/** The calls to OpenBao: to each pod by itself, never through the Service. */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../contract.ts';
import { isObject } from '../define.ts';
import { readAuthority } from '../endpoint.ts';
import { createHttpClient, type HttpClient } from '../http-client.ts';
import type { Secrets } from '../secrets.ts';
import type { OpenBaoConfig } from './schema.ts';

/** `GET sys/seal-status` of one pod. */
export type SealStatus = {
  type: string;
  initialized: boolean;
  sealed: boolean;
  /** Shares needed. */
  threshold: number;
  /** Shares given in the unseal under way. */
  progress: number;
  /** Names the unseal under way; empty when there is none. */
  nonce: string;
  version: string;
};

/** What one pod said, or why it said nothing. */
export type PodStatus = { address: string } & ({ status: SealStatus } | { error: string });

/** Limit for one pod, ms: a pod on a node that died must not use up the time of the others. */
const podTimeoutMs = 5_000;

export class OpenBaoClient {
  readonly addresses: readonly string[];
  readonly #pods: ReadonlyMap<string, HttpClient>;

  constructor(config: OpenBaoConfig, secrets: Secrets) {
    this.addresses = addressesOf(config);
    const { caFile } = config;
    this.#pods = new Map(
      this.addresses.map((address) => [
        address,
        createHttpClient({
          system: `OpenBao at ${new URL(address).host}`,
          baseUrl: address,
          timeoutMs: podTimeoutMs,
          maxBytes: 1024 * 1024,
          explain: (body) =>
            isObject(body) && Array.isArray(body.errors) ? body.errors.map(String).join('; ') : undefined,
          redact: secrets.redact,
          ...(caFile === undefined ? {} : { tls: async () => ({ ca: await readAuthority('openbao', caFile) }) }),
        }),
      ]),
    );
  }

  async sealStatus(context: CallContext, address: string): Promise<SealStatus> {
    return parseSealStatus(await this.#pod(address).json(context, { path: '/v1/sys/seal-status' }), address);
  }

  /** Asks all pods at once. */
  async statuses(context: CallContext): Promise<PodStatus[]> {
    return Promise.all(
      this.addresses.map(async (address) => {
        try {
          return { address, status: await this.sealStatus(context, address) };
        } catch (error) {
          return { address, error: messageOf(error) };
        }
      }),
    );
  }

  /** Gives one share to one pod. */
  async unseal(context: CallContext, address: string, share: string): Promise<SealStatus> {
    const answer = await this.#pod(address).json(context, {
      method: 'POST',
      path: '/v1/sys/unseal',
      json: { key: share },
    });
    return parseSealStatus(answer, address);
  }

  /** True when the pod is the active one; false for standby, sealed and uninitialized pods. */
  async active(context: CallContext, address: string): Promise<boolean> {
    // 429 standby, 472 and 473 replication standby, 501 uninitialized, 503 sealed.
    const answer = await this.#pod(address).request(context, {
      path: '/v1/sys/health',
      accept: [429, 472, 473, 501, 503],
    });
    return answer.status === 200;
  }

  close(): void {
    for (const pod of this.#pods.values()) pod.close();
  }

  #pod(address: string): HttpClient {
    const pod = this.#pods.get(address);
    if (pod === undefined) throw new CatalystError('BadRequest', `${address} is not a configured address of OpenBao`);
    return pod;
  }
}

function addressesOf({ addresses, template, replicas = 3 }: OpenBaoConfig): readonly string[] {
  if (addresses !== undefined) return addresses;
  if (template !== undefined)
    return Array.from({ length: replicas }, (_, ordinal) => template.replaceAll('{ordinal}', String(ordinal)));
  throw new CatalystError('NotConfigured', 'OpenBao has no address', {
    hint: 'Set integrations.openbao.addresses, or template and replicas.',
  });
}

/** Unknown fields are ignored: releases rename build_date to commit_date and add others. */
function parseSealStatus(body: unknown, address: string): SealStatus {
  if (isObject(body) && typeof body.sealed === 'boolean') {
    const { type, initialized, sealed, t, progress, nonce, version } = body;
    return {
      type: String(type ?? ''),
      // The answer to an unseal may leave it out; a pod that takes shares is initialized.
      initialized: initialized !== false,
      sealed,
      threshold: Number(t ?? 0),
      progress: Number(progress ?? 0),
      nonce: String(nonce ?? ''),
      version: String(version ?? ''),
    };
  }
  throw new CatalystError('UpstreamRefused', `${new URL(address).host} did not answer with a seal status`, {
    hint: 'Check that the address is a pod of OpenBao.',
    certain: false,
  });
}
