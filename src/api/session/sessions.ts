/** Logging in and out: sessions with an end, one-time links, and an entry in the record for each. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { RecordEntry } from '../../audit/record.ts';
import { appendRecord } from '../../audit/record-store.ts';
import type { Clock } from '../../clock.ts';
import type { Database, Tx } from '../../database/tables.ts';
import { CatalystError } from '../../errors.ts';
import type { Actor } from '../access.ts';
import { actorOfSession, type Grant, type LoginMethod, type Session, sortedGrants } from './session.ts';
import {
  activateGrant,
  deleteSession,
  findSession,
  findSessions,
  insertSession,
  insertTicket,
  takeTicket,
  touchSession,
} from './session-store.ts';

export interface SessionsPorts {
  db: Database;
  clock: Clock;
  /** Longest time a person stays logged in, ms. */
  sessionFor: number;
  /** A session nobody used for so long has ended, ms. */
  idleFor: number;
}

/** Who a one-time link logs in. */
export interface LinkGrant extends Grant {
  person: string;
}

/** Long enough to be carried to another window, short enough that a forgotten one in a scrollback is worth nothing. */
export const linkFor = 60 * 60_000;
/** A session is marked as used at most so often: each mark is a write. */
const touchEvery = 60_000;

export interface Sessions {
  /** Begins a session; the secret goes into the browser's cookie and nowhere else. */
  begin(who: {
    person: string;
    grants: readonly Grant[];
    method: LoginMethod;
  }): Promise<{ session: Session; secret: string }>;
  /** The session the cookie stands for, unless it has ended. */
  find(secret: string): Promise<Session | undefined>;
  /** For each, whether it has neither been ended nor run out, and its role is still the same. */
  areOpen(sessions: readonly Pick<Session, 'id' | 'active'>[]): Promise<boolean[]>;
  /** Takes another of the person's roles. Throws Forbidden for one they do not have. */
  become(session: Session, grant: Grant): Promise<Session>;
  end(session: Session): Promise<void>;
  /** Makes a link that logs in once. @returns its secret */
  makeLink(grant: LinkGrant, by: Actor): Promise<{ secret: string; expiresAt: number }>;
  /** Undefined when the link was used before, has run out, or never was. */
  redeemLink(secret: string): Promise<{ session: Session; secret: string } | undefined>;
}

/** 192 bits, in the characters a URL and a cookie take as they are. */
export function newSecret(): string {
  return randomBytes(24).toString('base64url');
}

/** As it is stored: the secrets are long random words, so a plain hash is enough. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Compares in the same time wherever the first difference is. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

export function createSessions({ db, clock, sessionFor, idleFor }: SessionsPorts): Sessions {
  const isOver = ({ expiresAt, lastSeenAt }: Session, now: number) => now >= expiresAt || now - lastSeenAt >= idleFor;

  async function begin(tx: Tx, who: { person: string; grants: readonly Grant[]; method: LoginMethod }) {
    const now = clock.now();
    const secret = newSecret();
    const session: Session = {
      ...who,
      id: hashSecret(secret),
      grants: sortedGrants(who.grants),
      active: 0,
      csrf: newSecret(),
      createdAt: now,
      lastSeenAt: now,
      expiresAt: now + sessionFor,
    };
    await insertSession(tx, session);
    const how = who.method === 'Link' ? 'by a one-time link' : 'at the OpenID provider';
    await appendRecord(tx, [entryOf('access.loggedIn', session, now, `${who.person} logged in ${how}.`)]);
    return { session, secret };
  }

  return {
    begin: (who) => db.transaction().execute((tx) => begin(tx, who)),
    async find(secret) {
      const session = await findSession(db, hashSecret(secret));
      const now = clock.now();
      if (!session || isOver(session, now)) return undefined;
      if (now - session.lastSeenAt >= touchEvery) await touchSession(db, session.id, now);
      return session;
    },
    async areOpen(asked) {
      const found = await findSessions(db, [...new Set(asked.map(({ id }) => id))]);
      const now = clock.now();
      return asked.map(({ id, active }) => {
        const session = found.get(id);
        // Whoever follows the stream is using the session, though no request of theirs shows it.
        return session !== undefined && session.active === active && now < session.expiresAt;
      });
    },
    async become(session, grant) {
      const active = session.grants.findIndex((g) => g.role === grant.role && g.organization === grant.organization);
      if (active < 0)
        throw new CatalystError('Forbidden', `${session.person} does not have the role ${nameOfGrant(grant)}.`);
      const changed = { ...session, active };
      await db.transaction().execute(async (tx) => {
        await activateGrant(tx, session.id, active);
        const sentence = `${session.person} acts as ${nameOfGrant(grant)} from now on.`;
        await appendRecord(tx, [entryOf('access.roleTaken', changed, clock.now(), sentence)]);
      });
      return changed;
    },
    async end(session) {
      await db.transaction().execute(async (tx) => {
        if (!(await deleteSession(tx, session.id))) return;
        const sentence = `${session.person} logged out.`;
        await appendRecord(tx, [entryOf('access.loggedOut', session, clock.now(), sentence)]);
      });
    },
    async makeLink(grant, by) {
      const now = clock.now();
      const secret = newSecret();
      const expiresAt = now + linkFor;
      await db.transaction().execute(async (tx) => {
        await insertTicket(tx, { id: hashSecret(secret), purpose: 'Link', data: grant, expiresAt });
        const sentence = `${by.id} made a login link for ${grant.person} as ${nameOfGrant(grant)}.`;
        await appendRecord(tx, [
          { at: now, kind: 'access.linkMade', actor: by.id, organization: grant.organization, sentence, data: {} },
        ]);
      });
      return { secret, expiresAt };
    },
    redeemLink: (secret) =>
      db.transaction().execute(async (tx) => {
        const grant = (await takeTicket(tx, hashSecret(secret), 'Link', clock.now())) as LinkGrant | undefined;
        if (!grant) return undefined;
        const { person, ...granted } = grant;
        return begin(tx, { person, grants: [granted], method: 'Link' });
      }),
  };
}

export function nameOfGrant({ role, organization }: Grant): string {
  return organization === undefined ? role : `${role} of ${organization}`;
}

function entryOf(kind: RecordEntry['kind'], session: Session, at: number, sentence: string): RecordEntry {
  const { id: actor, role, organization } = actorOfSession(session);
  return { at, kind, actor, organization, sentence, data: { role, method: session.method } };
}
