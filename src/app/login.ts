/** The door for people with a browser, as the configuration has it. */
import type { Actor } from '../api/access.ts';
import { createOidc, type Oidc } from '../api/session/oidc.ts';
import { createSessions } from '../api/session/sessions.ts';
import type { LoginOptions } from '../api/session-routes.ts';
import { appendRecord } from '../audit/record-store.ts';
import { parseDuration } from '../catalog/duration.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Config } from './config.ts';
import type { Environment } from './options.ts';
import { readSecret } from './secrets.ts';

export interface LoginPorts {
  db: Database;
  clock: Clock;
  log: Log;
  environment: Environment;
}

/** Undefined where nobody can log in: then there are bearer tokens only. */
export async function openLogin(config: Config, ports: LoginPorts): Promise<LoginOptions | undefined> {
  const { login, publicUrl } = config;
  if (!login.oidc && !login.links) return undefined;
  const { db, clock, log, environment } = ports;
  const sessions = createSessions({
    db,
    clock,
    sessionFor: timeOf(login.sessionFor),
    idleFor: timeOf(login.idleFor),
  });
  const oidc = await openOidc(config, environment);
  return { sessions, db, clock, log, oidc, links: login.links, publicUrl };
}

function timeOf(text: string): number {
  const ms = parseDuration(text);
  if (!ms) throw new CatalystError('InvalidResource', `"${text}" is no time a session can last.`);
  return ms;
}

async function openOidc({ login: { oidc }, publicUrl }: Config, environment: Environment): Promise<Oidc | undefined> {
  if (!oidc || publicUrl === undefined) return undefined;
  const { clientSecretFile } = oidc;
  return createOidc({
    ...oidc,
    clientSecret:
      clientSecretFile === undefined
        ? undefined
        : await readSecret('Client secret of the OpenID provider', { file: clientSecretFile }, environment),
    redirectUri: `${publicUrl.replace(/\/+$/, '')}/auth/callback`,
  });
}

/** One entry for each person and thing in so long: a console that reads page after page has read it once. */
const noteEvery = 3_600_000;
/** Callers are few; beyond this many the memory starts anew, and an entry is written once more. */
const mostNotes = 10_000;

/** Puts on record who read what not everybody may read. */
export function readNotes(db: Database, clock: Clock): (actor: Actor, what: string) => Promise<void> {
  const noted = new Map<string, number>();
  return async ({ id, role, organization }, what) => {
    const now = clock.now();
    const key = `${id} ${role} ${what}`;
    const last = noted.get(key);
    if (last !== undefined && now - last < noteEvery) return;
    const sentence = `${id} read ${what} as ${role}.`;
    await db
      .transaction()
      .execute((tx) =>
        appendRecord(tx, [{ at: now, kind: 'access.read', actor: id, organization, sentence, data: {} }]),
      );
    if (noted.size >= mostNotes) noted.clear();
    noted.set(key, now);
  };
}
