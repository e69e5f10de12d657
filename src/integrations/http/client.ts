/** HTTP to hosts that are allowed, and to nothing else. */
import { lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { CatalystError } from '../../errors.ts';
import { readAuthority } from '../endpoint.ts';
import { createHttpClient, type HttpClient } from '../http-client.ts';
import { type Secrets, secretReference } from '../secrets.ts';
import type { HttpConfig } from './schema.ts';

/** Where clouds answer with credentials to whoever asks. A name may not lead there; the address itself may be listed. */
const metadataAddresses = new BlockList();
metadataAddresses.addSubnet('169.254.0.0', 16, 'ipv4');
metadataAddresses.addAddress('100.100.100.200', 'ipv4');
metadataAddresses.addSubnet('fe80::', 10, 'ipv6');
metadataAddresses.addAddress('fd00:ec2::254', 'ipv6');

/** Limit of an answer: facts are numbers and small documents. */
const maxBytes = 1024 * 1024;

export interface HttpTarget {
  client: HttpClient;
  /** Path and query below the host. */
  path: string;
  /** `https://host/path`: for messages, without the query. */
  label: string;
}

export class HttpTargets {
  readonly #config: HttpConfig;
  readonly #secrets: Secrets;
  readonly #lookup: LookupFunction;
  readonly #clients = new Map<string, HttpClient>();

  constructor(config: HttpConfig, secrets: Secrets, lookup: LookupFunction = systemLookup as LookupFunction) {
    this.#config = config;
    this.#secrets = secrets;
    this.#lookup = guardedLookup(lookup);
  }

  /** The way to a URL. Throws BadRequest for one that is none, RefusedByGuard for a host that is not listed. */
  target(text: string): HttpTarget {
    if (!URL.canParse(text))
      throw new CatalystError('BadRequest', 'the URL cannot be read', { hint: 'Write it in full: https://host/path.' });
    const url = new URL(text);
    if (!['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      throw new CatalystError(
        'BadRequest',
        `a URL of ${url.host || url.protocol} must be http or https, without user and password`,
        {
          hint: 'Secrets belong into integrations.http.hosts.',
        },
      );
    }
    if (!Object.hasOwn(this.#config.hosts, url.host)) {
      throw new CatalystError('RefusedByGuard', `${url.host} is not among the hosts that may be asked`, {
        details: { reason: 'HostNotAllowed', host: url.host },
        hint: `Add ${url.host} to integrations.http.hosts.`,
      });
    }
    return { client: this.#client(url), path: url.pathname + url.search, label: url.origin + url.pathname };
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  #client(url: URL): HttpClient {
    const existing = this.#clients.get(url.origin);
    if (existing !== undefined) return existing;
    const { headers = [], caFile } = this.#config.hosts[url.host] ?? {};
    const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
    if (headers.length > 0 && url.protocol === 'http:' && !loopback) {
      throw new CatalystError(
        'RefusedByGuard',
        `secrets are configured for ${url.host}, and are not sent over plain http`,
        { hint: 'Use https.' },
      );
    }
    const client = createHttpClient({
      system: url.host,
      baseUrl: url.origin,
      lookup: this.#lookup,
      maxBytes,
      redact: this.#secrets.redact,
      headers: async () => {
        const entries = headers.map(async (header) => {
          const reference = secretReference(header, 'value');
          return [
            header.name.toLowerCase(),
            reference === undefined ? '' : `${header.prefix ?? ''}${await this.#secrets.read(reference)}`,
          ];
        });
        return Object.fromEntries(await Promise.all(entries)) as Record<string, string>;
      },
      ...(caFile === undefined ? {} : { tls: async () => ({ ca: await readAuthority('http', caFile) }) }),
    });
    this.#clients.set(url.origin, client);
    return client;
  }
}

/** A look-up that refuses names which lead to a metadata service, at the moment of connecting and so against rebinding as well. */
function guardedLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, address, family) => {
      if (error !== null) return callback(error, address, family);
      const found = Array.isArray(address) ? address.map((one) => one.address) : [address];
      if (found.some(isMetadata)) return callback(new Error(`${hostname} leads to a link-local address`), '', 0);
      callback(null, address, family);
    });
  };
}

function isMetadata(address: string): boolean {
  // `::ffff:169.254.169.254` is the same address in other clothes.
  const plain = address.toLowerCase().replace(/^::ffff:/, '');
  const family = isIP(plain);
  return family !== 0 && metadataAddresses.check(plain, family === 6 ? 'ipv6' : 'ipv4');
}
