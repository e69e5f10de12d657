/** The HTTP API of one OpenBao server: the system paths that seal, unseal and tell how it is. */
import type { Clock } from '../../src/clock.ts';
import { type Answer, type Call, credentials, hangUp, type Listening, listen, sendJson, sendText } from '../http.ts';
import { type BaoCluster, BaoError, type BaoNode, SHARES, THRESHOLD, VERSION } from './cluster.ts';

export interface BaoServerOptions {
  cluster: BaoCluster;
  node: BaoNode;
  clock: Clock;
  host: string;
  port: number;
  /** Whether the pod's process answers at all; a pod that is not running refuses connections. */
  isRunning: () => boolean;
}

const COMMIT_DATE = '2026-08-18T12:00:00Z';

/** Starts one server of the cluster. */
export function startBao(options: BaoServerOptions): Promise<Listening> {
  return listen({
    host: options.host,
    port: options.port,
    handle: (call) => {
      // Without a process behind it the connection breaks, it does not answer.
      if (!options.isRunning()) return hangUp(call);
      call.response.setHeader('cache-control', 'no-store');
      try {
        return route(options, call);
      } catch (error) {
        if (!(error instanceof BaoError)) throw error;
        return sendErrors(call, error.status, error.message);
      }
    },
    fail: (call, status, message) => sendErrors(call, status, message),
  });
}

function sendErrors(call: Pick<Call, 'response'>, status: number, ...errors: string[]): Answer {
  return sendJson(call, status, { errors });
}

function route(options: BaoServerOptions, call: Call): Answer {
  const { method } = call;
  const allow = (...methods: string[]) => {
    if (!methods.includes(method)) throw new BaoError(405, 'unsupported operation');
  };
  switch (call.path) {
    case '/v1/sys/seal-status':
      allow('GET');
      return sendJson(call, 200, sealStatus(options));
    case '/v1/sys/unseal':
      allow('POST', 'PUT');
      return unseal(options, call);
    case '/v1/sys/seal':
      allow('POST', 'PUT');
      return seal(options, call);
    case '/v1/sys/health':
      allow('GET', 'HEAD');
      return health(options, call);
    case '/v1/sys/leader':
      allow('GET');
      return sendJson(call, 200, leader(options));
    case '/v1/sys/metrics':
      allow('GET');
      return metrics(options, call);
    default:
      if (!call.path.startsWith('/v1/')) return sendErrors(call, 404);
      if (options.node.sealed) throw new BaoError(503, 'Vault is sealed');
      if (tokenOf(call) !== options.cluster.rootToken) throw new BaoError(403, 'permission denied');
      return sendErrors(call, 404);
  }
}

function tokenOf(call: Call): string | undefined {
  const header = call.headers['x-vault-token'];
  return typeof header === 'string' ? header : credentials(call, 'Bearer');
}

function sealStatus({ cluster, node }: BaoServerOptions): Record<string, unknown> {
  return {
    type: 'shamir',
    initialized: true,
    sealed: node.sealed,
    t: THRESHOLD,
    n: SHARES,
    ...node.progress,
    version: VERSION,
    commit_date: COMMIT_DATE,
    migration: false,
    ...(node.sealed ? {} : { cluster_name: cluster.clusterName, cluster_id: cluster.id }),
    recovery_seal: false,
    storage_type: 'raft',
  };
}

function unseal(options: BaoServerOptions, call: Call): Answer {
  let body: unknown;
  try {
    body = JSON.parse(call.body === '' ? '{}' : call.body);
  } catch {
    throw new BaoError(400, 'failed to parse JSON input');
  }
  const { key, reset, migrate } = (body ?? {}) as { key?: unknown; reset?: unknown; migrate?: unknown };
  if (reset === true) {
    if (!options.node.sealed) throw new BaoError(400, 'vault is unsealed');
    options.node.reset();
    return sendJson(call, 200, sealStatus(options));
  }
  if (typeof key !== 'string' || key === '') {
    throw new BaoError(400, "'key' must be specified in request body as JSON, or 'reset' set to true");
  }
  if (migrate === true) throw new BaoError(500, "can't perform a seal migration, no migration seal found");
  options.node.unseal(key);
  return sendJson(call, 200, sealStatus(options));
}

function seal({ cluster, node }: BaoServerOptions, call: Call): Answer {
  if (node.sealed) throw new BaoError(503, 'Vault is sealed');
  if (cluster.leader !== node) {
    throw new BaoError(500, 'vault cannot seal when in standby mode; please restart instead');
  }
  if (tokenOf(call) !== cluster.rootToken) throw new BaoError(403, 'permission denied');
  node.seal();
  return sendText(call, 204);
}

function health({ cluster, node, clock }: BaoServerOptions, call: Call): Answer {
  const { query } = call;
  const isStandby = !node.sealed && cluster.leader !== node;
  const code = (parameter: string, standard: number) => {
    const text = query.get(parameter);
    if (text === null) return standard;
    if (!/^\d+$/.test(text)) throw new BaoError(400, '');
    return Number(text);
  };
  const standbyOk = ['true', '1', ''].includes(query.get('standbyok') ?? 'no');
  const active = code('activecode', 200);
  const standby = standbyOk ? active : code('standbycode', 429);
  const status = node.sealed ? code('sealedcode', 503) : isStandby ? standby : active;
  return sendJson(call, status, {
    initialized: true,
    sealed: node.sealed,
    standby: node.sealed || isStandby,
    replication_performance_mode: 'disabled',
    replication_dr_mode: 'disabled',
    server_time_utc: Math.floor(clock.now() / 1000),
    version: VERSION,
    ...(node.sealed ? {} : { cluster_name: cluster.clusterName, cluster_id: cluster.id }),
  });
}

function leader({ cluster, node }: BaoServerOptions): Record<string, unknown> {
  if (node.sealed) throw new BaoError(503, 'Vault is sealed');
  const active = cluster.leader;
  if (!active) return { ha_enabled: true };
  const address = `${active.name}.openbao-internal.openbao.svc`;
  return {
    ha_enabled: true,
    ...(active === node ? { is_self: true, active_time: new Date(cluster.activeSince).toISOString() } : {}),
    leader_address: `http://${address}:8200`,
    leader_cluster_address: `https://${address}:8201`,
    raft_committed_index: 4_211,
    raft_applied_index: 4_211,
  };
}

function metrics({ cluster, node }: BaoServerOptions, call: Call): Answer {
  // Served without a token, sealed or not: the listener has `unauthenticated_metrics_access`.
  if (call.query.get('format') !== 'prometheus') {
    throw new BaoError(400, 'metric response content type unsupported; ask for format=prometheus');
  }
  const gauge = (name: string, help: string, value: number) => {
    const labels = `{cluster="${cluster.clusterName}"}`;
    return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name}${labels} ${value}\n`;
  };
  const body =
    gauge('vault_core_unsealed', 'vault_core_unsealed', node.sealed ? 0 : 1) +
    gauge('vault_core_active', 'vault_core_active', cluster.leader === node ? 1 : 0);
  return sendText(call, 200, body, 'text/plain; version=0.0.4; charset=utf-8');
}
