/**
 * Kubernetes 1.20 as `install.sh` built it: etcd, API server with RBAC, controller manager, scheduler and one
 * hollow kubelet, whose pods run in pretence only while everything that manages them is real.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { type Etcd, findEtcd, startEtcd } from './etcd.ts';
import { connect, installCrds, type KubernetesApi } from './kubernetes-api.ts';
import { programDirectory } from './kubernetes-build.ts';
import {
  demand,
  findPrograms,
  freePort,
  orStop,
  type Programs,
  type Running,
  type Server,
  startServer,
  temporaryDirectory,
  waitUntil,
} from './process.ts';

export interface KubernetesOptions {
  /** Without a node pods stay Pending, and the start takes half as long. Default true. */
  node?: boolean;
  /** Without the controller manager and the scheduler there is the API alone: objects stay as they are written. Default true. */
  controllers?: boolean;
  /** Without it nothing stands between a watch and etcd, and what etcd has forgotten is gone. Default true. */
  watchCache?: boolean;
  /** Users beside the admin, with no rights but those that tests bind to them by RBAC. */
  users?: readonly KubernetesUser[];
}

export interface KubernetesUser {
  name: string;
  groups?: readonly string[];
  /** Bearer token; random when absent. */
  token?: string;
}

export interface Kubernetes extends Running {
  /** `https://127.0.0.1:<port>`, its certificate signed by `ca`. */
  readonly url: string;
  /** The certificate authority, PEM. */
  readonly ca: string;
  /** Bearer token of a member of `system:masters`. */
  readonly adminToken: string;
  /** Kubeconfig of the admin, YAML. */
  readonly kubeconfig: string;
  /** The same as a file; gone after `stop`. */
  readonly kubeconfigFile: string;
  /** Name of the node, undefined without one. */
  readonly node: string | undefined;
  /** Kubeconfig of one of `users`, YAML. */
  kubeconfigFor(user: string): string;
  /** Calls the API as the admin; rejects with `KubernetesApiError` on any answer but 2xx. */
  readonly request: KubernetesApi['request'];
  /** Creates the custom resource definitions of these YAML files; returns their names when all are served. */
  installCrds(files: readonly string[]): Promise<string[]>;
  /** What a user has asked of the API server since its start, as its audit log has it; the newest may take a moment. */
  audit(user: string): AuditedCall[];
  /** Bearer token of one of `users`. */
  tokenFor(user: string): string;
  /** Makes its etcd forget everything older than now. */
  compact(): Promise<void>;
}

/** One answered request. */
export interface AuditedCall {
  verb: string;
  apiGroup: string;
  /** With its subresource: `pods/eviction`. */
  resource: string;
  namespace: string | undefined;
  name: string | undefined;
  status: number;
}

const PROGRAMS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubemark'] as const;
const ADMIN = 'testbed-admin';
const NODE = 'hollow-1';
const AUDIT_LOG = 'audit.log';
/** Who asked for what, without bodies; one line for a request, when it is answered (for a watch: when it begins, too). */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'None', userGroups: ['system:masters', 'system:nodes'] }, { level: 'Metadata' }],
};
/** Two shared cores under load; an idle machine needs ten seconds for everything. */
const START_LIMIT_MS = 90_000;

/** Whether Kubernetes can be started here. */
export function findKubernetes(): Programs<(typeof PROGRAMS)[number]> {
  const etcd = findEtcd();
  return etcd.available ? findPrograms(PROGRAMS, [programDirectory()]) : etcd;
}

/** Starts an empty cluster on free loopback ports. Several may run side by side. */
export async function startKubernetes(options: KubernetesOptions = {}): Promise<Kubernetes> {
  const programs = demand(findKubernetes());
  const directory = temporaryDirectory('kubernetes');
  const servers: Server[] = [];
  let etcd: Etcd | undefined;
  const stop = async (): Promise<void> => {
    // The last started goes first, so that none complains about another's absence.
    for (const server of [...servers].reverse()) await server.stop();
    await etcd?.stop();
    directory.remove();
  };
  return await orStop(async () => {
    etcd = await startEtcd();
    const cluster = await startApiServer(programs['kube-apiserver'], directory.path, etcd.url, options, servers);
    const { compact } = etcd;
    const api = connect(cluster.url, cluster.ca, cluster.adminToken);
    const kubeconfig = kubeconfigText(cluster, ADMIN, cluster.adminToken);
    const kubeconfigFile = join(directory.path, 'kubeconfig');
    writeFileSync(kubeconfigFile, kubeconfig, { mode: 0o600 });
    if (options.controllers !== false) await startControllers(programs, directory.path, kubeconfigFile, api, servers);
    if (options.node !== false) await startNode(programs.kubemark, directory.path, kubeconfigFile, api, servers);
    return {
      url: cluster.url,
      ca: cluster.ca,
      adminToken: cluster.adminToken,
      kubeconfig,
      kubeconfigFile,
      node: options.node === false ? undefined : NODE,
      kubeconfigFor: (user) => kubeconfigText(cluster, user, tokenOf(cluster, user)),
      request: api.request,
      installCrds: (files) => installCrds(api, files),
      tokenFor: (user) => tokenOf(cluster, user),
      compact,
      audit: (user) => auditedCalls(join(directory.path, AUDIT_LOG), user),
      stop,
      logs: () => [...servers].map((server) => `--- ${server.name}\n${server.logs()}`).join('\n'),
    };
  }, stop);
}

interface Cluster {
  url: string;
  ca: string;
  adminToken: string;
  /** Token by user name, the admin not among them. */
  tokens: ReadonlyMap<string, string>;
}

async function startApiServer(
  program: string,
  directory: string,
  etcdUrl: string,
  { users = [], watchCache = true }: KubernetesOptions,
  servers: Server[],
): Promise<Cluster> {
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const adminToken = newToken();
  const tokens = new Map(users.map((user) => [user.name, user.token ?? newToken()]));
  const admin = { name: ADMIN, token: adminToken, groups: ['system:masters'] };
  const everybody = [admin, ...users.map((user) => ({ ...user, token: tokens.get(user.name) ?? '' }))];
  const tokenFile = join(directory, 'tokens.csv');
  writeFileSync(tokenFile, everybody.map(tokenLine).join(''), { mode: 0o600 });
  const key = serviceAccountKey(directory);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(key, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  const auditPolicy = join(directory, 'audit-policy.yaml');
  writeFileSync(auditPolicy, dump(AUDIT_POLICY));
  const server = startServer({
    name: 'kube-apiserver',
    program,
    args: [
      `--etcd-servers=${etcdUrl}`,
      ...['--bind-address=127.0.0.1', '--advertise-address=127.0.0.1', `--secure-port=${port}`],
      // It makes a certificate authority of its own there, and a certificate for the advertised address.
      `--cert-dir=${certificates(directory)}`,
      // A loopback address is not allowed as an endpoint of the service `kubernetes`, so it gets none.
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.96.0.0/16',
      ...['--authorization-mode=RBAC', `--token-auth-file=${tokenFile}`],
      ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
      '--service-account-issuer=https://kubernetes.default.svc',
      // Pods would wait for token volumes that a hollow kubelet cannot mount.
      '--disable-admission-plugins=ServiceAccount',
      '--allow-privileged=true',
      `--watch-cache=${watchCache}`,
      ...[`--audit-policy-file=${auditPolicy}`, `--audit-log-path=${join(directory, AUDIT_LOG)}`],
    ],
  });
  servers.push(server);
  await waitUntil(
    `kube-apiserver at ${url}`,
    START_LIMIT_MS,
    async () => {
      await connect(url, readFileSync(certificateFile(directory), 'utf8'), adminToken).request('/readyz');
      return true;
    },
    servers,
  );
  return { url, ca: readFileSync(certificateFile(directory), 'utf8'), adminToken, tokens };
}

async function startControllers(
  programs: Record<(typeof PROGRAMS)[number], string>,
  directory: string,
  kubeconfig: string,
  api: KubernetesApi,
  servers: Server[],
): Promise<void> {
  // One of each, so no election; and no ports, since nobody asks them anything.
  const common = [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--port=0', '--secure-port=0'];
  servers.push(
    startServer({
      name: 'kube-controller-manager',
      program: programs['kube-controller-manager'],
      args: [
        ...common,
        '--use-service-account-credentials=true',
        `--service-account-private-key-file=${serviceAccountKey(directory)}`,
        `--root-ca-file=${certificateFile(directory)}`,
      ],
    }),
    startServer({ name: 'kube-scheduler', program: programs['kube-scheduler'], args: common }),
  );
  // The controllers start together; this account is the first thing one of them makes.
  await waitUntil(
    'the controllers of Kubernetes',
    START_LIMIT_MS,
    async () => {
      await api.request('/api/v1/namespaces/default/serviceaccounts/default');
      return true;
    },
    servers,
  );
}

interface NodeObject {
  spec: { taints?: unknown[] };
  status: { conditions?: { type: string; status: string }[] };
}

async function startNode(
  program: string,
  directory: string,
  kubeconfig: string,
  api: KubernetesApi,
  servers: Server[],
): Promise<void> {
  servers.push(
    startServer({
      name: 'hollow kubelet',
      program,
      args: [
        '--morph=kubelet',
        `--name=${NODE}`,
        `--kubeconfig=${kubeconfig}`,
        `--kubelet-port=${await freePort()}`,
        '--kubelet-read-only-port=0',
      ],
      // Its own directories and its runtime's socket go there.
      env: { TMPDIR: directory },
    }),
  );
  await waitUntil(
    `node ${NODE}`,
    START_LIMIT_MS,
    async () => {
      const { spec, status } = await api.request<NodeObject>(`/api/v1/nodes/${NODE}`);
      // A node is tainted as not ready at first; until that is taken back no pod is scheduled.
      const ready = status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
      return ready === true && (spec.taints ?? []).length === 0;
    },
    servers,
  );
}

interface AuditEvent {
  user: { username: string };
  verb: string;
  objectRef?: { apiGroup?: string; resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code: number };
}

function auditedCalls(file: string, user: string): AuditedCall[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter((event) => event.user.username === user)
    .flatMap(({ verb, objectRef, responseStatus }) => {
      if (objectRef === undefined) return [];
      const { apiGroup = '', resource = '', subresource, namespace, name } = objectRef;
      const path = subresource === undefined ? resource : `${resource}/${subresource}`;
      return [{ verb, apiGroup, resource: path, namespace, name, status: responseStatus?.code ?? 0 }];
    });
}

function newToken(): string {
  return randomBytes(24).toString('hex');
}

/** A line of the API server's static token file: token, name, uid and the groups in quotes. */
function tokenLine(user: KubernetesUser): string {
  return `${user.token},${user.name},${user.name},"${(user.groups ?? []).join(',')}"\n`;
}

function tokenOf(cluster: Cluster, user: string): string {
  const token = cluster.tokens.get(user);
  if (token === undefined) throw new Error(`no user ${user}: name it in the option "users" of startKubernetes`);
  return token;
}

function kubeconfigText(cluster: Cluster, user: string, token: string): string {
  const ca = Buffer.from(cluster.ca).toString('base64');
  return dump({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'testbed', cluster: { server: cluster.url, 'certificate-authority-data': ca } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'testbed', context: { cluster: 'testbed', user } }],
    'current-context': 'testbed',
  });
}

function certificates(directory: string): string {
  return join(directory, 'certificates');
}

/** The server's certificate followed by that of its authority; written by the API server at its start. */
function certificateFile(directory: string): string {
  return join(certificates(directory), 'apiserver.crt');
}

function serviceAccountKey(directory: string): string {
  return join(directory, 'service-account.key');
}
