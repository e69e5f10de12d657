/**
 * Too many requests of one user at a real API server: its priority and fairness gives the user the smallest share there is
 * and no queue, and requests whose bodies never end take all of it.
 */
import type { ClientRequest } from 'node:http';
import https from 'node:https';
import { waitUntil } from '../../testbed/process.ts';
import type { Cluster } from './kubernetes-relay.ts';

const limitMs = 60_000;
const flow = '/apis/flowcontrol.apiserver.k8s.io/v1beta1';

export interface Crowd {
  /** Resolves when the API server has no place left for the user. */
  fill(): Promise<void>;
  leave(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param cluster with the token of `user`, who may do everything from now on */
export async function startCrowd({ url, ca, token, api }: Cluster, user: string): Promise<Crowd> {
  await api.request('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    body: {
      metadata: { name: user },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    },
  });
  await api.request(`${flow}/prioritylevelconfigurations`, {
    body: {
      metadata: { name: user },
      spec: { type: 'Limited', limited: { assuredConcurrencyShares: 1, limitResponse: { type: 'Reject' } } },
    },
  });
  const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] };
  const { metadata } = await api.request<{ metadata: { uid: string } }>(`${flow}/flowschemas`, {
    body: {
      metadata: { name: user },
      spec: {
        priorityLevelConfiguration: { name: user },
        matchingPrecedence: 100,
        rules: [{ subjects: [{ kind: 'User', user: { name: user } }], resourceRules: [everything] }],
      },
    },
  });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const open = (method: string, more: object = {}): ClientRequest =>
    https.request(`${url}/api/v1/namespaces/default/configmaps`, {
      ...{ method, ca, agent: false, headers: { ...headers, ...more } },
    });
  const look = () =>
    new Promise<{ status: number; schema: unknown }>((resolve, reject) => {
      open('GET')
        .on('error', reject)
        .on('response', (answer) => {
          answer.resume();
          resolve({ status: answer.statusCode ?? 0, schema: answer.headers['x-kubernetes-pf-flowschema-uid'] });
        })
        .end();
    });
  await waitUntil('the share of the user', limitMs, async () => (await look()).schema === metadata.uid);

  const held: ClientRequest[] = [];
  const leave = () => {
    for (const request of held.splice(0)) request.destroy();
  };
  return {
    fill: () =>
      waitUntil('no place for the user', limitMs, async () => {
        if ((await look()).status === 429) return true;
        const request = open('POST', { 'content-length': '1000' });
        request.on('error', () => {});
        request.write('{');
        held.push(request);
        return false;
      }),
    leave,
    async [Symbol.asyncDispose]() {
      leave();
      await api.request(`${flow}/flowschemas/${user}`, { method: 'DELETE' });
      await api.request(`${flow}/prioritylevelconfigurations/${user}`, { method: 'DELETE' });
    },
  };
}
