/** A program's account in a real cluster, with the rights of generated roles and no others. */
import { load } from 'js-yaml';
import { renderRbacFiles } from '../../src/app/render-cluster.ts';
import type { Kubernetes } from '../../testbed/kubernetes.ts';
import { waitUntil } from '../../testbed/process.ts';

const namespace = 'catalyst-system';
/** The authorizer learns of a binding by a watch, a moment later. */
const limitMs = 30_000;
const rbac = '/apis/rbac.authorization.k8s.io/v1';

/** The account's name in the audit log. */
export const auditName = (account: string) => `system:serviceaccount:${namespace}:${account}`;

/**
 * Creates a service account and binds it to `roles` (ClusterRoles as YAML, as `render rbac` writes them). Returns its
 * token; the rights count once the API server's authorizer has learnt of them, which this waits for.
 */
export async function serviceAccount(
  { request }: Kubernetes,
  account: string,
  roles: readonly string[],
): Promise<string> {
  // A cluster that several suites share has it already.
  await request(`/api/v1/namespaces/${namespace}`).catch(() =>
    request('/api/v1/namespaces', { body: { metadata: { name: namespace } } }),
  );
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await request(accounts, { body: { metadata: { name: account } } });
  for (const text of roles) {
    const role = load(text) as { kind: string; metadata: { name: string } };
    await request(`${rbac}/clusterroles`, { body: role });
    await request(`${rbac}/clusterrolebindings`, {
      body: {
        metadata: role.metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: role.kind, name: role.metadata.name },
        subjects: [{ kind: 'ServiceAccount', namespace, name: account }],
      },
    });
  }
  const { status } = await request<{ status: { token: string } }>(`${accounts}/${account}/token`, {
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  });
  await rightsOf({ request }, account, roles);
  return status.token;
}

/** The generated roles of the server's own account. The failover controller is another process, with an account of its own. */
export const serverRoles = (): string[] =>
  renderRbacFiles()
    .filter(({ path }) => path !== 'clusterrole-failover.yaml')
    .map(({ text }) => text);

interface Role {
  rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

/** Asks the API server about the last right of each role until it grants it. */
async function rightsOf(
  { request }: Pick<Kubernetes, 'request'>,
  account: string,
  roles: readonly string[],
): Promise<void> {
  for (const text of roles) {
    const last = (load(text) as Role).rules.at(-1);
    const [resource, subresource] = last?.resources.at(-1)?.split('/') ?? [];
    const resourceAttributes = { group: last?.apiGroups[0], resource, subresource, verb: last?.verbs.at(-1) };
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: auditName(account), resourceAttributes },
    };
    await waitUntil(`the rights of ${account}`, limitMs, async () => {
      const { status } = await request<{ status: { allowed: boolean } }>(
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        { body },
      );
      return status.allowed;
    });
  }
}

/** What an account may, each right as `verb group/resource`. */
export function rightsIn(roles: readonly string[]): Set<string> {
  const rules = roles.flatMap((text) => (load(text) as Role).rules);
  return new Set(
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    ),
  );
}
