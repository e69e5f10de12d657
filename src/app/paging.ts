import { CatalystError } from '../errors.ts';
import type { Notify } from '../integrations/notify/index.ts';
import { createPage, type Deliver } from '../notify/notify.ts';
import type { Page } from '../notify/page.ts';
import type { CreatePage } from '../run/run-context.ts';
import type { PageLinks } from './links.ts';

/** Stands for the receiver that the configuration makes the default, whichever that is when the page goes out. */
export const defaultReceiver = 'default';

/** Writes the engine's pages into the outbox, for the default receiver. */
export const toDefaultReceiver: CreatePage = async (tx, page, now) =>
  (await createPage(tx, { ...page, receiver: defaultReceiver }, now)).entries;

/** Hands pages to the configured receivers; the page's id is the key by which they know a second delivery. */
export function pagesThrough(pager: Notify['pager'], linksOf: (page: Page) => PageLinks | undefined): Deliver {
  return async (receiver, page, signal) => {
    if (!pager) throw new CatalystError('NotConfigured', 'Nobody can be paged: integrations.notify is not configured.');
    await pager.deliver(
      receiver === defaultReceiver ? undefined : receiver,
      { key: page.id, title: page.subject, text: page.body, severity: page.severity, ...linksOf(page) },
      signal,
    );
  };
}
