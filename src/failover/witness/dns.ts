/**
 * The primary of a DNS zone as a witness: one TXT record per group, replaced by an UPDATE whose prerequisite is the record
 * as it was. RFC 2136 §3.7 makes an update atomic, and every question goes to the primary itself, over TCP and signed.
 */
import type { Clock } from '../../clock.ts';
import { CatalystError, messageOf } from '../../errors.ts';
import { askTcp, type DnsServerAddress, decodeMessage, rcode, txtText } from '../dns-wire.ts';
import { type Lease, sameVersion } from '../lease.ts';
import { signMessage, type TsigKey, txtQuery, updateMessage, verifiedRcode } from './dns-update.ts';
import { leaseText, readLease, writableText } from './lease-text.ts';
import type { CasAnswer, Witness } from './witness.ts';

export interface DnsWitnessOptions {
  name: string;
  /** The primary. Never a secondary, and never a resolver: both show the past. */
  server: DnsServerAddress;
  zone: string;
  key: () => Promise<TsigKey>;
  clock: Clock;
}

export function createDnsWitness(options: DnsWitnessOptions): Witness {
  const { name, zone, clock } = options;
  const system = `witness ${name} (DNS)`;
  /** The lease last seen, so that a renewal is one question. Wrong knowledge costs a refusal, never a lease. */
  const known = new Map<string, Lease>();
  const recordOf = (group: string) => `${group}.${zone}`;

  const exchange = async (message: Buffer, signal: AbortSignal) => {
    const key = await options.key();
    const signed = signMessage(message, key, clock.now());
    let answer: Buffer;
    try {
      answer = await askTcp(options.server, signed.message, signal);
    } catch (error) {
      throw new CatalystError('UpstreamUnavailable', `${system} did not answer: ${messageOf(error)}`, {
        cause: error,
        certain: false,
      });
    }
    return { answer, code: verifiedRcode(answer, signed.mac, key, clock.now()) };
  };
  const refused = (code: number, what: string) =>
    new CatalystError('UpstreamRefused', `${system} answered ${what} with response code ${code}`, {
      hint: 'Check that the server is the primary of the zone and lets the key read and update it.',
    });

  const read = async (group: string, signal: AbortSignal): Promise<Lease | undefined> => {
    const { answer, code } = await exchange(txtQuery(recordOf(group)), signal);
    if (code !== rcode.noError && code !== rcode.nxDomain) throw refused(code, 'the question');
    const message = decodeMessage(answer);
    if (!message.flag_aa) throw refused(code, 'without authority, and the question');
    const texts = (message.answers ?? []).flatMap((record) => (record.type === 'TXT' ? [txtText(record.data)] : []));
    if (texts.length > 1)
      throw new CatalystError('UpstreamRefused', `${system} holds ${texts.length} TXT records for ${recordOf(group)}`, {
        hint: 'Somebody else writes there. Remove what is not the lease.',
      });
    const [text] = texts;
    const lease = text === undefined ? undefined : readLease(system, group, text);
    if (lease === undefined) known.delete(group);
    else known.set(group, lease);
    return lease;
  };
  return {
    name,
    read: async (group, { signal }) => ({ lease: await read(group, signal), expired: undefined }),
    compareAndSet: async (group, expect, next, { signal }): Promise<CasAnswer> => {
      const text = writableText(group, expect, next);
      const cached = known.get(group);
      const current =
        expect === undefined ? undefined : cached && sameVersion(cached, expect) ? cached : await read(group, signal);
      if (!sameVersion(current, expect)) return { result: 'conflict', current };
      const { code } = await exchange(
        updateMessage({ zone, name: recordOf(group), expect: current && leaseText(current), next: text }),
        signal,
      );
      if (code === rcode.noError) {
        known.set(group, next);
        return { result: 'applied' };
      }
      if (code !== rcode.nxRrset && code !== rcode.yxRrset) throw refused(code, 'the update');
      known.delete(group);
      const held = await read(group, signal);
      if (!sameVersion(held, expect)) return { result: 'conflict', current: held };
      throw refused(code, 'although the record is the one expected, the update');
    },
    close: async () => {},
  };
}
