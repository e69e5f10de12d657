/**
 * Pages by Matrix (client-server API v3, `PUT /rooms/{roomId}/send/{eventType}/{txnId}`). The transaction id is the page's
 * key: a homeserver that has taken it once answers the second time with the same event, and nobody is told twice.
 */
import Type from 'typebox';
import { CatalystError } from '../../errors.ts';
import type { CallContext } from '../contract.ts';
import { isObject } from '../define.ts';
import { endpointOptions } from '../endpoint.ts';
import { createHttpClient, type HttpAnswer } from '../http-client.ts';
import type { Secrets } from '../secrets.ts';
import { hasShape } from '../shape.ts';
import type { Page } from './page.ts';
import type { MatrixReceiver } from './schema.ts';

/**
 * Characters of the text that are sent. A homeserver takes events of 65,536 bytes, the text is in it twice, and escaping
 * makes a character six bytes at most; the rest of it is behind the link.
 */
const textLength = 4_000;

/** Limited requests are answered with the wait in the body by old homeservers, and in the header by new ones. */
const Limited = Type.Object({ retry_after_ms: Type.Number({ minimum: 0 }) });
const Sent = Type.Object({ event_id: Type.String({ minLength: 1 }) });

export function createMatrix(receiver: MatrixReceiver, secrets: Secrets) {
  const { host } = new URL(receiver.url);
  const system = `The Matrix homeserver ${host}`;
  const http = createHttpClient({
    ...endpointOptions('notify', receiver, secrets),
    system,
    maxBytes: 64 * 1024,
    explain: (body) => (isObject(body) ? [body.errcode, body.error].filter(Boolean).join(': ') : undefined),
  });
  return {
    async deliver(context: CallContext, page: Page): Promise<void> {
      const [room, transaction] = [receiver.room, page.key].map(encodeURIComponent);
      const answer = await http.request(context, {
        method: 'PUT',
        path: `/_matrix/client/v3/rooms/${room}/send/m.room.message/${transaction}`,
        json: messageOf(page, receiver.messageType ?? 'm.text'),
        accept: [429],
      });
      const body = parse(answer);
      if (answer.status === 429) throw limited(system, answer, body);
      if (!hasShape(Sent, body))
        throw new CatalystError('UpstreamRefused', `${system} did not answer with the id of an event.`, {
          hint: 'Is the address that of a homeserver, and not of a page in front of it?',
          certain: false,
        });
    },
    close: () => http.close(),
  };
}

function messageOf(page: Page, msgtype: string) {
  const text = page.text.length <= textLength ? page.text : `${page.text.slice(0, textLength - 1).toWellFormed()}…`;
  const title = page.title.replaceAll(/\s+/g, ' ').trim();
  const links = [
    ['Acknowledge', page.acknowledgeUrl],
    ['Read on', page.url],
  ].filter((link): link is [string, string] => link[1] !== undefined);
  const anchors = links.map(([word, url]) => `<a href="${escapeHtml(url)}">${word}</a>`).join(' · ');
  return {
    msgtype,
    body: [title, text, ...links.map(([word, url]) => `${word}: ${url}`)].join('\n\n'),
    format: 'org.matrix.custom.html',
    formatted_body:
      `<p><strong>${escapeHtml(title)}</strong></p><p>${escapeHtml(text).replaceAll('\n', '<br>')}</p>` +
      (anchors === '' ? '' : `<p>${anchors}</p>`),
  };
}

function limited(system: string, { headers }: HttpAnswer, body: unknown): CatalystError {
  const header = headers['retry-after'];
  const inHeader = header !== undefined && /^[0-9]{1,6}$/.test(header) ? Number(header) * 1_000 : undefined;
  const retryAfterMs = inHeader ?? (hasShape(Limited, body) ? body.retry_after_ms : undefined);
  return new CatalystError('UpstreamUnavailable', `${system} takes no more messages for a while (M_LIMIT_EXCEEDED).`, {
    certain: true,
    details: { status: 429, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    hint: 'Raise the rate limit of the account that pages are sent by.',
  });
}

function parse({ body }: HttpAnswer): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
}
