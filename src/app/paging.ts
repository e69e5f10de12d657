import type { RecordEntry } from '../audit/record.ts';
import { CatalystError } from '../errors.ts';
import type { EscalationPorts } from '../incident/escalation.ts';
import type { Notify } from '../integrations/notify/index.ts';
import { createPage, type Deliver } from '../notify/notify.ts';
import type { Page } from '../notify/page.ts';
import type { CreatePage } from '../run/run-context.ts';
import type { PageLinks } from './links.ts';

/** Stands for the receiver that the configuration makes the default, whichever that is when the page goes out. */
export const defaultReceiver = 'default';

/**
 * Writes the engine's pages into the outbox, for whoever the escalation policy calls first: a run that needs a person
 * needs the same one as its incident. Where that is nobody, the default receiver is told.
 */
export function toWhoIsCalledFirst({
  policyOf,
  receiversOf,
}: Pick<EscalationPorts, 'policyOf' | 'receiversOf'>): CreatePage {
  return async (tx, { severity, organization, ...page }, now) => {
    const first = policyOf({ severity, organization })?.steps[0]?.notify ?? [];
    const meant = new Set(first.flatMap((target) => receiversOf(target, organization, now).receivers));
    const receivers = meant.size > 0 ? [...meant] : [defaultReceiver];
    const entries: RecordEntry[] = [];
    for (const receiver of receivers) {
      const one = { ...page, severity, organization, receiver, dedupeKey: `${page.dedupeKey}/${receiver}` };
      entries.push(...(await createPage(tx, one, now)).entries);
    }
    return entries;
  };
}

/** Hands pages to the configured receivers; the page's id is the key by which they know a second delivery. */
export function pagesThrough(pager: Notify['pager'], linksOf: (page: Page) => Promise<PageLinks | undefined>): Deliver {
  return async (receiver, page, signal) => {
    if (!pager) throw new CatalystError('NotConfigured', 'Nobody can be paged: integrations.notify is not configured.');
    await pager.deliver(
      receiver === defaultReceiver ? undefined : receiver,
      { key: page.id, title: page.subject, text: page.body, severity: page.severity, ...(await linksOf(page)) },
      signal,
    );
  };
}
