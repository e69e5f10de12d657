/** Links that people get outside of the console: to acknowledge what they were paged about, and to on-call calendars. */
import type { AcknowledgeLinks, Acknowledgement } from '../api/ports.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import type { IncidentService } from '../incident/incident-service.ts';
import { getIncident } from '../incident/incident-store.ts';
import type { Page } from '../notify/page.ts';
import { getPage } from '../notify/page-store.ts';
import { type LinkKeys, linkKeysOf, readClaim, signClaim } from '../notify/signed-link.ts';
import { readOrMakeSecret, replaceSecret } from '../notify/signing-key-store.ts';
import type { Config } from './config.ts';
import type { Environment } from './options.ts';
import { readSecret } from './secrets.ts';

/** As long as the outbox tries to deliver a page: what comes later is answered in the console. */
const linkFor = 24 * 3_600_000;
/** A shorter secret can be guessed; `openssl rand -hex 32` gives twice as much. */
const shortestSecret = 32;

/** The secret of links in the database. */
const linksSecret = 'links';

/** The keys links are signed with, as they are now. */
export type LinkKeySource = () => Promise<LinkKeys>;

/**
 * From the configured secret, else from one the database keeps for all replicas. That one is read each time, so that a key
 * that was replaced is worth nothing at once, wherever.
 */
export async function openLinkKeys(
  config: Pick<Config, 'linkKeyFile'>,
  { db, clock, environment }: { db: Database; clock: Clock; environment: Environment },
): Promise<LinkKeySource> {
  const { linkKeyFile } = config;
  if (linkKeyFile === undefined) return async () => linkKeysOf(await readOrMakeSecret(db, linksSecret, clock.now()));
  const secret = await readSecret('Key of links', { file: linkKeyFile }, environment);
  if (secret.length < shortestSecret)
    throw new CatalystError('InvalidResource', `The key of links is shorter than ${shortestSecret} characters.`, {
      hint: `Make one with: openssl rand -hex 32 > ${linkKeyFile}`,
    });
  const keys = linkKeysOf(secret);
  return async () => keys;
}

/**
 * Puts a new key in the place of the one in the database: every link in a page and every calendar address made before is
 * worth nothing from then on. On record.
 * @throws CatalystError NotConfigured where the key is in a file, which only its owner replaces
 */
export function linkKeyReplacement(
  config: Pick<Config, 'linkKeyFile'>,
  { db, clock }: { db: Database; clock: Clock },
): (actor: string) => Promise<void> {
  return async (actor) => {
    if (config.linkKeyFile !== undefined)
      throw new CatalystError('NotConfigured', 'The key of links is in a file, not in the database.', {
        hint: `Write another one and restart: openssl rand -hex 32 > ${config.linkKeyFile}`,
      });
    const at = clock.now();
    const sentence = `${actor} replaced the key of links: those in pages sent before, and the addresses of calendars, are worth nothing.`;
    await db.transaction().execute(async (tx) => {
      await replaceSecret(tx, linksSecret, at);
      await appendRecord(tx, [{ at, kind: 'access.linkKeyReplaced', actor, sentence, data: {} }]);
    });
  };
}

export interface PageLinks {
  /** Where to read on. */
  url: string;
  acknowledgeUrl: string;
}

/**
 * The links of a page about an incident; undefined where nobody could follow them. The same each time it is sent with one key.
 * @param publicUrl where people reach the product; asked for each page
 */
export function pageLinks(
  keys: LinkKeySource,
  publicUrl: () => string | undefined,
): (page: Page) => Promise<PageLinks | undefined> {
  return async ({ id, incidentId, receiver, createdAt }) => {
    const base = publicUrl()?.replace(/\/+$/, '');
    if (base === undefined || incidentId === undefined) return undefined;
    const { acknowledge } = await keys();
    const token = signClaim(acknowledge, { pageId: id, incidentId, receiver, expiresAt: createdAt + linkFor });
    return { url: `${base}/incidents/${incidentId}`, acknowledgeUrl: `${base}/ack/${token}` };
  };
}

export function acknowledgeLinks(ports: {
  db: Database;
  clock: Clock;
  keys: LinkKeySource;
  incidents: Pick<IncidentService, 'acknowledge'>;
}): AcknowledgeLinks {
  const { db, clock, keys, incidents } = ports;
  const claimOf = async (token: string) => readClaim((await keys()).acknowledge, token);
  const look = async (token: string): Promise<Acknowledgement> => {
    const claim = await claimOf(token);
    if (!claim) return { state: 'Unknown' };
    if (clock.now() >= claim.expiresAt) return { state: 'Expired' };
    const [page, incident] = await Promise.all([getPage(db, claim.pageId), getIncident(db, claim.incidentId)]);
    // A signed claim about another page than was sent: the database is not the one the link was made by.
    if (!page || !incident || page.incidentId !== incident.id || page.receiver !== claim.receiver)
      return { state: 'Unknown' };
    const about = { id: incident.id, title: incident.title, severity: incident.severity, openedAt: incident.openedAt };
    if (incident.state === 'Resolved')
      return { state: 'Resolved', about, by: incident.resolvedBy ?? '', at: incident.resolvedAt ?? 0 };
    if (incident.acknowledgedAt !== undefined)
      return { state: 'Acknowledged', about, by: incident.acknowledgedBy ?? '', at: incident.acknowledgedAt };
    return { state: 'Open', about, receiver: claim.receiver };
  };
  return {
    look,
    async acknowledge(token) {
      const seen = await look(token);
      const claim = await claimOf(token);
      if (seen.state !== 'Open' || !claim) return { done: false, now: seen };
      const { incidentId, pageId, receiver } = claim;
      try {
        await incidents.acknowledge({ incidentId, actor: `receiver/${receiver}`, by: { pageId } });
        return { done: true, now: await look(token) };
      } catch (error) {
        // Somebody was faster since we looked.
        if (error instanceof CatalystError && error.code === 'InvalidState')
          return { done: false, now: await look(token) };
        throw error;
      }
    },
  };
}
