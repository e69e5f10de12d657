/** Pages by webhook: JSON, with the key as Idempotency-Key. */
import type { CallContext } from '../contract.ts';
import { endpointOptions } from '../endpoint.ts';
import { createHttpClient } from '../http-client.ts';
import type { Secrets } from '../secrets.ts';
import type { Page } from './page.ts';
import type { WebhookReceiver } from './schema.ts';

export function createWebhook(receiver: WebhookReceiver, secrets: Secrets) {
  const url = new URL(receiver.url);
  const http = createHttpClient({
    ...endpointOptions('notify', { ...receiver, url: url.origin }, secrets),
    system: `The webhook at ${url.host}`,
    maxBytes: 64 * 1024,
  });
  return {
    async deliver(context: CallContext, page: Page): Promise<void> {
      const headers = { 'idempotency-key': page.key };
      await http.request(context, { method: 'POST', path: url.pathname + url.search, headers, json: page });
    },
    close: () => http.close(),
  };
}
