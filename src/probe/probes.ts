/** The three probes. Each says what it measured, and never throws: what goes wrong is what it is there to find. */
import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { messageOf } from '../errors.ts';
import type { DnsTarget, HttpTarget, ProbeTarget, TlsTarget } from './probe-config.ts';

export interface Finding {
  success: boolean;
  /** Why it is no success. */
  problem?: string;
  /** Of the last answer. */
  status?: number;
  redirects?: number;
  /** When the first certificate of the chain expires, seconds since 1970. */
  earliestExpiry?: number;
  /** DNS records answered. */
  records?: number;
}

/** As browsers do at least; a loop ends here. */
const mostRedirects = 5;
/** What `contains` looks at. */
const mostBody = 1024 * 1024;

/** Probes a target once, until the signal ends it. */
export async function probe(target: ProbeTarget, signal: AbortSignal): Promise<Finding> {
  // What is known of a certificate or an answer stays known when the probe fails after it.
  const finding: Finding = { success: false };
  try {
    if (target.http) await probeHttp(target.http, signal, finding);
    else if (target.tls) await probeTls(target.tls, signal, finding);
    else if (target.dns) await probeDns(target.dns, signal, finding);
    return finding.problem === undefined ? { ...finding, success: true } : finding;
  } catch (error) {
    const problem = signal.aborted ? 'no answer within its limit of time' : messageOf(error);
    return { ...finding, success: false, problem };
  }
}

async function probeHttp(target: HttpTarget, signal: AbortSignal, finding: Finding): Promise<void> {
  const trust = await trustOf(target);
  let url = new URL(target.url);
  finding.redirects = 0;
  for (;;) {
    // Another host has another name in its certificate.
    const trusted = url.host === new URL(target.url).host ? trust : { ...trust, servername: undefined };
    const answer = await send(url, target, trusted, signal, finding);
    const { statusCode: status = 0, headers } = answer;
    finding.status = status;
    if (target.redirects === 'Follow' && status >= 300 && status < 400 && headers.location !== undefined) {
      answer.destroy();
      finding.redirects += 1;
      const next = new URL(headers.location, url);
      if (finding.redirects > mostRedirects) throw new Error(`more than ${mostRedirects} redirects`);
      if (next.protocol !== 'https:' && (url.protocol === 'https:' || next.protocol !== 'http:'))
        throw new Error(`a redirect to ${next.protocol}//${next.host} is not followed`);
      url = next;
      continue;
    }
    const text = await beginning(answer);
    const isGood = target.status.length > 0 ? target.status.includes(status) : status >= 200 && status < 300;
    if (!isGood) finding.problem = `the answer has the status ${status}`;
    else if (target.contains !== undefined && !text.includes(target.contains))
      finding.problem = `the answer does not contain ${JSON.stringify(target.contains)}`;
    return;
  }
}

interface Trust {
  ca?: Buffer;
  servername?: string | undefined;
}

async function trustOf({ caFile, serverName }: { caFile?: string; serverName?: string }): Promise<Trust> {
  return {
    ...(caFile === undefined ? {} : { ca: await readFile(caFile) }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

function send(
  url: URL,
  { method }: HttpTarget,
  trust: Trust,
  signal: AbortSignal,
  finding: Finding,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { 'user-agent': 'catalyst-sre-probe', accept: '*/*' };
    // A connection of its own each time: an open one would hide that no new one can be made.
    const shared = { method, headers, signal, agent: false } as const;
    const request =
      url.protocol === 'https:'
        ? https.request(url, { ...shared, ...trust, rejectUnauthorized: false })
        : http.request(url, shared);
    request.on('socket', (socket) => {
      socket.once('secureConnect', () => {
        const wrong = examine(socket as TLSSocket, finding);
        if (wrong) request.destroy(wrong);
      });
    });
    request.on('response', resolve);
    request.on('error', reject);
    request.end();
  });
}

/** The first part of the body as text; the rest is not waited for. */
async function beginning(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size >= mostBody) break;
  }
  return Buffer.concat(chunks).subarray(0, mostBody).toString('utf8');
}

async function probeTls(target: TlsTarget, signal: AbortSignal, finding: Finding): Promise<void> {
  const trust = await trustOf(target);
  const { hostname, port } = new URL(`tls://${target.address}`);
  const host = hostname.replace(/^\[|\]$/g, '');
  const name = isIP(host) ? {} : { servername: host };
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port: Number(port), ...name, ...trust, rejectUnauthorized: false });
    const stop = () => socket.destroy(new Error('stopped'));
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    socket.once('secureConnect', () => {
      const wrong = examine(socket, finding);
      socket.destroy();
      if (wrong) reject(wrong);
      else resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => {
      signal.removeEventListener('abort', stop);
      reject(new Error('the connection was closed'));
    });
  });
}

/** Notes when the chain ends, whether or not it is trusted; returns why it is not. */
function examine(socket: TLSSocket, finding: Finding): Error | undefined {
  const ends: number[] = [];
  const seen = new Set<string>();
  for (let one: PeerCertificate | undefined = socket.getPeerCertificate(true); one?.valid_to !== undefined; ) {
    // A root is its own issuer.
    if (seen.has(one.fingerprint256)) break;
    seen.add(one.fingerprint256);
    ends.push(Date.parse(one.valid_to) / 1000);
    one = (one as PeerCertificate & { issuerCertificate?: PeerCertificate }).issuerCertificate;
  }
  if (ends.length > 0) finding.earliestExpiry = Math.min(...ends);
  if (socket.authorized) return undefined;
  return new Error(`the certificate is not trusted: ${messageOf(socket.authorizationError)}`);
}

async function probeDns(target: DnsTarget, signal: AbortSignal, finding: Finding): Promise<void> {
  const resolver = new Resolver({ tries: 1 });
  if (target.server !== undefined) resolver.setServers([target.server]);
  const stop = () => resolver.cancel();
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    const answer = await resolver.resolve(target.name, target.type);
    const records = (Array.isArray(answer) ? answer : [answer]).map(recordText);
    finding.records = records.length;
    if (records.length === 0) finding.problem = 'there is no such record';
    else if (target.expect.length > 0 && !records.some((record) => target.expect.includes(record)))
      finding.problem = `none of the records is expected: ${records.slice(0, 5).join(', ')}`;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** `10 mail.example` for MX; the pieces of a TXT record joined. */
function recordText(record: unknown): string {
  if (Array.isArray(record)) return record.join('');
  if (typeof record === 'object' && record !== null) {
    const { priority, exchange } = record as { priority?: number; exchange?: string };
    return `${priority} ${exchange}`;
  }
  return String(record);
}
