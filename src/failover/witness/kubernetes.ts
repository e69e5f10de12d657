/**
 * A `Lease` of Kubernetes (coordination.k8s.io/v1) in a third cluster as a witness. The lease as a whole stands in an
 * annotation, and the fields kubectl shows are filled in beside it. The API server compares `resourceVersion`; a change of
 * that number by somebody else, who labels the object, is no conflict and is tried again.
 */
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import { isObject } from '../../integrations/define.ts';
import type { HttpClient } from '../../integrations/http-client.ts';
import { type Lease, sameVersion } from '../lease.ts';
import { readLease, writableText } from './lease-text.ts';
import type { CasAnswer, Witness } from './witness.ts';

export interface KubernetesWitnessOptions {
  name: string;
  connect: () => Promise<HttpClient>;
  namespace: string;
  clock: Clock;
}

export const leaseAnnotation = 'catalyst.openova.io/lease';
/** Who labels a lease does it once: three in a row are a loop. */
const attempts = 3;

interface Stored {
  object: Record<string, unknown>;
  metadata: Record<string, unknown>;
  lease: Lease | undefined;
}

export function createKubernetesWitness(options: KubernetesWitnessOptions): Witness {
  const { name, namespace, clock } = options;
  const system = `witness ${name} (Kubernetes)`;
  let http: Promise<HttpClient> | undefined;
  const api = (): Promise<HttpClient> => {
    http ??= options.connect().catch((error: unknown) => {
      http = undefined;
      throw error;
    });
    return http;
  };
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const nameOf = (group: string) => `catalyst-failover-${group}`;

  /** Without `resourceVersion` in the query: read from etcd by quorum, not from the API server's cache. */
  const read = async (group: string, signal: AbortSignal): Promise<Stored | undefined> => {
    let object: unknown;
    try {
      object = await (await api()).json({ clock, signal }, { path: `${path}/${nameOf(group)}` });
    } catch (error) {
      if (isMissing(error, nameOf(group))) return undefined;
      throw error;
    }
    if (!isObject(object) || !isObject(object.metadata)) throw strange(system);
    const { metadata } = object;
    const annotations = isObject(metadata.annotations) ? metadata.annotations : {};
    const text = annotations[leaseAnnotation];
    return { object, metadata, lease: typeof text === 'string' ? readLease(system, group, text) : undefined };
  };
  const write = async (
    group: string,
    stored: Stored | undefined,
    next: Lease,
    text: string,
    signal: AbortSignal,
  ): Promise<boolean> => {
    const body = objectOf(nameOf(group), namespace, stored, next, text, clock.now());
    try {
      await (await api()).json(
        { clock, signal },
        stored === undefined
          ? { method: 'POST', path, json: body }
          : { method: 'PUT', path: `${path}/${nameOf(group)}`, json: body },
      );
      return true;
    } catch (error) {
      // Conflict: another resourceVersion, or it exists by now. NotFound: deleted since. Both are the API server's word.
      if (isConflict(error) || (stored !== undefined && isMissing(error, nameOf(group)))) return false;
      throw error;
    }
  };
  return {
    name,
    read: async (group, { signal }) => ({ lease: (await read(group, signal))?.lease, expired: undefined }),
    compareAndSet: async (group, expect, next, { signal }): Promise<CasAnswer> => {
      const text = writableText(group, expect, next);
      for (let attempt = 0; attempt < attempts; attempt++) {
        const stored = await read(group, signal);
        if (!sameVersion(stored?.lease, expect)) return { result: 'conflict', current: stored?.lease };
        if (await write(group, stored, next, text, signal)) return { result: 'applied' };
      }
      throw new CatalystError('UpstreamUnavailable', `${system}: somebody changes ${nameOf(group)} all the time`, {
        hint: 'Leave that Lease to the failover controllers.',
      });
    },
    close: async () => (await http?.catch(() => undefined))?.close(),
  };
}

/** The object to write: what others put there is kept. */
function objectOf(
  name: string,
  namespace: string,
  stored: Stored | undefined,
  next: Lease,
  text: string,
  now: number,
): object {
  const time = new Date(now).toISOString().replace(/Z$/, '000Z');
  const before = isObject(stored?.object.spec) ? stored.object.spec : {};
  const sameEpoch = stored?.lease?.epoch === next.epoch;
  const annotations = isObject(stored?.metadata.annotations) ? stored.metadata.annotations : {};
  return {
    ...(stored?.object ?? { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' }),
    metadata: {
      ...(stored?.metadata ?? { name, namespace, labels: { 'app.kubernetes.io/managed-by': 'catalyst-sre' } }),
      annotations: { ...annotations, [leaseAnnotation]: text },
    },
    spec: {
      ...before,
      holderIdentity: next.holder,
      leaseDurationSeconds: Math.max(1, Math.ceil(next.ttlMs / 1000)),
      // For people: the clock of the writer, which nobody decides by.
      renewTime: time,
      ...(sameEpoch ? {} : { acquireTime: time }),
      // An int32 that only informs; the epoch itself stands in the annotation.
      leaseTransitions: Math.min(next.epoch, 2 ** 31 - 1),
    },
  };
}

function isConflict(error: unknown): boolean {
  return error instanceof CatalystError && error.details.status === 409 && typeof error.details.said === 'string';
}

/** The API server names what is not there; a proxy's 404 does not, and says nothing about the lease. */
function isMissing(error: unknown, name: string): boolean {
  if (!(error instanceof CatalystError) || error.details.status !== 404) return false;
  return typeof error.details.said === 'string' && error.details.said.includes(`"${name}" not found`);
}

function strange(system: string): CatalystError {
  return new CatalystError('UpstreamUnavailable', `${system} did not answer as the Kubernetes API does`, {
    hint: 'Check the address of the API server.',
  });
}
