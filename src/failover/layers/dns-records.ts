/** Generators of what publishes a group's hosts: k8gb's Gslb and PowerDNS' LUA records. Pure; neither can fail open. */
import { isIPv4 } from 'node:net';
import type { FailoverGroupSpec } from '../../catalog/kinds/failover-group.ts';
import { CatalystError } from '../../errors.ts';
import type { Json } from '../../integrations/contract.ts';
import { gatePath } from './external.ts';

/** Seconds. With k8gb's reconcile period it is what a client waits after the gate has moved. */
const defaultTtlSeconds = 5;

/**
 * One Gslb for each route. `roundRobin`, because `failover` returns to its first region by itself, which only a person may
 * do; `serviceHealthPolicy: All`, because with Any a host stays published while its gate is shut.
 */
export function gslbs(external: NonNullable<FailoverGroupSpec['external']>): Json[] {
  return (external.httpRoutes ?? []).map(({ namespace, name }) => ({
    apiVersion: 'k8gb.io/v1beta1',
    kind: 'Gslb',
    metadata: { name, namespace },
    spec: {
      resourceRef: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', name },
      serviceHealthPolicy: 'All',
      strategy: { type: 'roundRobin', dnsTtlSeconds: external.dnsTtlSeconds ?? defaultTtlSeconds },
    },
  }));
}

export interface PowerDnsOptions {
  host: string;
  /** Addresses of the region's gateway, by region. */
  addresses: Readonly<Record<string, readonly string[]>>;
  /** Default 5. */
  ttlSeconds?: number;
  /** Scheme and port of the gateway. Default https and its port. */
  scheme?: 'http' | 'https';
  port?: number;
}

/** Consecutive failures after which an address goes: one lost probe is no outage. */
const minimumFailures = 2;
/** Seconds between probes: with two failures a shut gate is noticed within four. */
const probeSeconds = 2;

/**
 * A LUA record for a zone file or `pdnsutil add-record`. Each region is a set of its own, so that addresses of both are
 * never given while one is up. When none is up, PowerDNS answers by its `backupSelector`: that must not be `random` (the
 * default), and `empty` is unknown to 4.7, which then takes `random` again. So the record asks for `all`, and since the
 * answer of one region never holds every address, an answer that does means that no gate is open: nothing is given.
 * Checks that are not finished count as failures (`failOnIncompleteCheck`).
 */
export function powerDnsLuaRecord(options: PowerDnsOptions): string {
  const { host, addresses, ttlSeconds = defaultTtlSeconds, scheme = 'https', port } = options;
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(host)) throw wrong(`"${host}" is not a host name`);
  const sets = Object.entries(addresses).map(([region, list]) => {
    if (list.length === 0) throw wrong(`region ${region} has no address`);
    for (const address of list)
      if (!isIPv4(address)) throw wrong(`"${address}" of region ${region} is not an IPv4 address`);
    return `{${list.map((address) => `'${address}'`).join(',')}}`;
  });
  if (sets.length !== 2) throw wrong(`two regions are needed, and ${sets.length} are given`);
  const all = Object.values(addresses).flat();
  if (new Set(all).size !== all.length) throw wrong('an address is given twice');
  const url = `${scheme}://${host}${port === undefined ? '' : `:${port}`}${gatePath}`;
  const settings = [
    `selector='all'`,
    `backupSelector='all'`,
    `minimumFailures=${minimumFailures}`,
    `interval=${probeSeconds}`,
    `timeout=${probeSeconds}`,
    `failOnIncompleteCheck='true'`,
  ].join(',');
  const script = `;local up=ifurlup('${url}',{${sets.join(',')}},{${settings}}) if #up>=${all.length} then return {} end return up`;
  return `${host}. ${ttlSeconds} IN LUA A "${script}"`;
}

function wrong(sentence: string): CatalystError {
  return new CatalystError('BadRequest', `No PowerDNS record: ${sentence}.`);
}
