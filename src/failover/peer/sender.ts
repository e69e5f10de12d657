/** How messages leave for the peer. One way: an answer of the peer is a message of its own, so it says by itself whom it is from. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { isObject } from '../../integrations/define.ts';
import { createHttpClient } from '../../integrations/http-client.ts';
import type { TlsMaterial } from '../../integrations/http-transport.ts';
import { type SigningKey, verifier } from '../keys.ts';
import type { PeerMessage } from '../protocol.ts';
import type { Delay } from '../readiness-decision.ts';
import { type Envelope, peerPath, signatureHeader, signedBody } from './peer-wire.ts';
import { readinessPath, readReadiness } from './readiness.ts';

export interface PeerSenderOptions {
  region: string;
  peer: { region: string; url: string; publicKey: string };
  key: () => Promise<SigningKey>;
  tls?: () => Promise<TlsMaterial>;
  clock: Clock;
}

export interface PeerSender {
  /** Resolves when the peer has taken the message; rejects with its reason, or when it cannot be reached. */
  send(group: string, message: PeerMessage, signal: AbortSignal): Promise<void>;
  /** The time of day over there: the `Date` of an answer. Rejects when nobody answers. */
  date(signal: AbortSignal): Promise<string | undefined>;
  /** Whether the peer could take over at once once `epoch` is released. Rejects when it does not say. */
  readiness(group: string, epoch: number, signal: AbortSignal): Promise<Delay | 'ready'>;
  close(): void;
}

export function createPeerSender({ region, peer, key, tls, clock }: PeerSenderOptions): PeerSender {
  const http = createHttpClient({
    system: `peer ${peer.region}`,
    baseUrl: peer.url,
    maxBytes: 16 * 1024,
    explain: (body) => (isObject(body) && typeof body.detail === 'string' ? body.detail : undefined),
    ...(tls === undefined ? {} : { tls }),
  });
  const verify = verifier(peer.publicKey);
  return {
    send: async (group, message, signal) => {
      const envelope: Envelope = {
        group,
        from: region,
        to: peer.region,
        time: clock.now(),
        nonce: randomBytes(16).toString('base64url'),
        message,
      };
      const body = JSON.stringify(envelope);
      const signature = (await key()).sign(signedBody(body));
      await http.request(
        { clock, signal },
        {
          method: 'POST',
          path: peerPath,
          body,
          headers: { 'content-type': 'application/json', [signatureHeader]: signature },
        },
      );
    },
    date: async (signal) => {
      const { headers } = await http.request({ clock, signal }, { method: 'HEAD', path: peerPath });
      return headers.date;
    },
    readiness: async (group, epoch, signal) => {
      const question = { group, epoch, nonce: randomBytes(16).toString('base64url') };
      const query = { ...question, epoch: String(epoch) };
      const { body, headers } = await http.request({ clock, signal }, { path: readinessPath, query });
      const signature = headers[signatureHeader];
      return readReadiness(
        { body, signature: typeof signature === 'string' ? signature : undefined },
        question,
        peer.region,
        verify,
      );
    },
    close: () => http.close(),
  };
}
