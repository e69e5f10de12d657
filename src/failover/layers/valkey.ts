/**
 * Valkey (and Redis). Planned: FAILOVER on the primary, which pauses writes, waits until the replica has every byte, and
 * swaps the roles. Unplanned: REPLICAOF NO ONE on the replica. The fence makes a primary a replica of nothing reachable,
 * so that it takes no write, whatever its persisted configuration says.
 */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import type { Json } from '../lease.ts';
import { type CheckResult, type Component, liveEpoch, waitFor } from './layer.ts';

export interface ValkeyOptions {
  name: string;
  /** HOST:PORT in this region and in the other one, as either region reaches it. */
  address: string;
  peerAddress: string;
  password: (() => Promise<string>) | undefined;
}

/** A command on a server in reach answers in milliseconds. */
const commandLimitMs = 2_000;
/** How long writes may be paused before FAILOVER gives up and the primary goes on, ms. */
const failoverTimeoutMs = 4_000;
const lookEveryMs = 50;
/** The swap itself takes one round trip after the last byte; a full resynchronisation would not be a failover any more. */
const swapLimitMs = 10_000;

/** A replica of this takes no writes and receives none: the port discard on loopback. */
const nowhere = { host: '127.0.0.1', port: '9' };

type Effects = Pick<
  Component,
  'position' | 'lag' | 'fence' | 'demote' | 'promote' | 'verify' | 'divergence' | 'checks' | 'close'
>;
type Info = Readonly<Record<string, string>>;

export function createValkey(options: ValkeyOptions): Effects {
  const { address, peerAddress } = options;
  const here = createServerClient(options, address);
  const info = async (context: CallContext) => replicationOf(await here.send(context, ['INFO', 'replication']));
  const label = `Valkey ${address}`;

  return {
    position: async (context) => {
      const state = await info(context);
      return { role: state.role ?? '', replid: state.master_replid ?? '', offset: Number(state.master_repl_offset) };
    },

    lag: async (context, activePosition) => lagOf(label, await info(context), activePosition),

    fence: async (context, authority) => {
      const state = await info(context);
      if (state.role !== 'master') return { sentence: `${label} is a replica, and takes no writes.` };
      authority.demand();
      await here.send(context, ['REPLICAOF', nowhere.host, nowhere.port]);
      return { sentence: `${label} takes no writes any more (epoch ${authority.epoch ?? 'unknown'}).` };
    },

    demote: async (context, authority) => {
      if ((await info(context)).role !== 'master') return { sentence: `${label} is a replica already.` };
      const [host, port] = split(peerAddress);
      liveEpoch(authority);
      await here.send(context, ['FAILOVER', 'TO', host, port, 'TIMEOUT', String(failoverTimeoutMs)]);
      const handedOver = async () => {
        const { role, master_failover_state: phase } = await info(context);
        if (role === 'slave') return { done: true };
        if (phase === 'no-failover')
          throw new CatalystError(
            'UpstreamRefused',
            `${label} gave the handover up: its replica did not catch up in time.`,
          );
        return `it is ${role}, ${phase}`;
      };
      await waitFor(context, `${label} to hand over`, lookEveryMs, handedOver, swapLimitMs);
      return { sentence: `${label} handed over to ${peerAddress} with every write.`, handover: { planned: true } };
    },

    promote: async (context, authority) => {
      const { role } = await info(context);
      liveEpoch(authority);
      if (role !== 'master') await here.send(context, ['REPLICAOF', 'NO', 'ONE']);
      return { sentence: `${label} is primary (epoch ${authority.epoch ?? 0}).` };
    },

    verify: async (context) => {
      const { role } = await info(context);
      if (role !== 'master') throw new CatalystError('InvalidState', `${label} is a ${role}, and takes no writes.`);
      return { sentence: `${label} is primary and takes writes.` };
    },

    divergence: async (context, lastPosition) => divergenceOf(label, await info(context), lastPosition),

    // This region's own server only: the other one may be what was lost.
    checks: async (context) => [
      await here.send(context, ['INFO', 'server']).then(
        (text): CheckResult => supportsFailover(address, String(text)),
        (error: unknown): CheckResult => ({
          check: 'valkey-reachable',
          verdict: 'unknown',
          sentence: messageOf(error),
        }),
      ),
    ],

    close: async () => {
      here.close();
    },
  };
}

interface ServerClient {
  send(context: CallContext, command: string[]): Promise<unknown>;
  close(): void;
}

/** One connection, made when it is needed and again after it broke. No queue: a command that cannot go out now fails now. */
function createServerClient({ password }: ValkeyOptions, address: string): ServerClient {
  const [host, port] = split(address);
  const make = async () => {
    // Loaded with the first server: most controllers have none.
    const { createClient } = await import('@redis/client');
    const secret = await password?.();
    const client = createClient({
      socket: { host, port: Number(port), connectTimeout: commandLimitMs, reconnectStrategy: false },
      ...(secret === undefined ? {} : { password: secret }),
      disableOfflineQueue: true,
    });
    // Each command tells its own failure; without a listener the process would end.
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  let current: ReturnType<typeof make> | undefined;
  return {
    send: async (context, command) => {
      current ??= make();
      const client = await current.catch((error: unknown) => {
        current = undefined;
        throw unreachable(address, error);
      });
      if (!client.isReady) {
        current = undefined;
        throw unreachable(address, 'the connection broke');
      }
      try {
        return await client.sendCommand(command, {
          abortSignal: AbortSignal.any([context.signal, AbortSignal.timeout(commandLimitMs)]),
        });
      } catch (error) {
        if (/^(ERR|NOAUTH|WRONGPASS|NOPERM|READONLY|LOADING|NOREPLICAS)/.test(messageOf(error)))
          throw new CatalystError('UpstreamRefused', `Valkey ${address} refused ${command[0]}: ${messageOf(error)}`, {
            cause: error,
          });
        current = undefined;
        client.destroy();
        throw unreachable(address, error);
      }
    },
    close: () => {
      current?.then((client) => client.destroy()).catch(() => {});
      current = undefined;
    },
  };
}

function unreachable(address: string, error: unknown): CatalystError {
  return new CatalystError('UpstreamUnavailable', `Valkey ${address} does not answer: ${messageOf(error)}`, {
    certain: false,
  });
}

function split(address: string): [string, string] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon).replace(/^\[|\]$/g, ''), address.slice(colon + 1)];
}

function replicationOf(text: unknown): Info {
  const pairs = String(text)
    .split(/\r?\n/)
    .flatMap((line) => {
      const colon = line.indexOf(':');
      return colon < 1 || line.startsWith('#') ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    });
  return Object.fromEntries(pairs) as Info;
}

/** Offsets can be compared only within one replication id; a server that resynchronised from another has its own. */
function sameHistory(state: Info, position: Json | undefined): position is { replid: string; offset: number } {
  if (!isObject(position) || typeof position.replid !== 'string' || typeof position.offset !== 'number') return false;
  return [state.master_replid, state.master_replid2].includes(position.replid);
}

function lagOf(label: string, state: Info, activePosition: Json | undefined) {
  const unknown = (sentence: string) => ({ seconds: undefined, sentence: `${label}: ${sentence}.` });
  if (state.role === 'master') return unknown('it is a primary, and follows nobody');
  // A replica's own offset of the stream stays when the link breaks; the one of the link does not.
  const behind = sameHistory(state, activePosition)
    ? activePosition.offset - Number(state.master_repl_offset)
    : undefined;
  if (state.master_link_status !== 'up') {
    if (behind !== undefined && behind <= 0)
      return { seconds: 0, sentence: `${label} has every byte the active last told of.` };
    const missing = behind === undefined ? 'the history differs' : `${behind} bytes the active told of are missing`;
    return unknown(`its link has been down for ${state.master_link_down_since_seconds ?? '?'} s, and ${missing}`);
  }
  if (state.master_sync_in_progress === '1') return unknown('it is resynchronising from the start');
  // The primary pings every 10 s when it has nothing else to say: less than that is not silence.
  const silent = Number(state.master_last_io_seconds_ago);
  // Not a byte behind is 0; with some on the way, a second at least.
  const seconds = behind !== undefined && behind <= 0 ? 0 : Math.max(1, silent);
  return {
    seconds,
    sentence: `${label} heard from its primary ${silent} s ago${behind && behind > 0 ? `, ${behind} bytes behind its last word` : ''}.`,
  };
}

function divergenceOf(label: string, state: Info, position: Json | undefined): string {
  if (!sameHistory(state, position))
    return `${label}: the old active told no position of this history; what it wrote last may be missing here.`;
  const own = Number(
    state.second_repl_offset === '-1' ? state.master_repl_offset : Number(state.second_repl_offset) - 1,
  );
  const missing = position.offset - own;
  return missing > 0
    ? `${label}: ${missing} bytes of the old active's stream are missing (it told offset ${position.offset}, here ${own}).`
    : `${label}: nothing is missing up to offset ${position.offset}; what the old active wrote after that is not known.`;
}

function supportsFailover(where: string, text: string): CheckResult {
  const check = 'valkey-reachable';
  const [, version = '0', minor = '0'] = /(?:valkey|redis)_version:(\d+)\.(\d+)/.exec(text) ?? [];
  // FAILOVER came with Redis 6.2; every Valkey has it.
  const good = Number(version) > 6 || (Number(version) === 6 && Number(minor) >= 2);
  return {
    check,
    verdict: good ? 'passed' : 'failed',
    sentence: good
      ? `Valkey ${where} answers.`
      : `Valkey ${where} has version ${version}.${minor}: FAILOVER needs 6.2.`,
  };
}
