/**
 * Who may do what: bearer tokens, browser sessions (`session/`), and one table from role to permission. A route that names no permission is closed.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export const permissions = [
  /** Alerts, incidents, runs, runbooks, decisions, approvals, pages and the stream. */
  'read',
  'incident.act',
  'run.start',
  /** To vote at all; which role an approval asks for is checked besides. */
  'run.approve',
  'run.cancel',
  'record.read',
  /** Recomputes the whole chain, so it is for the whole Sovereign. */
  'record.verify',
  'catalog.refresh',
  /** A one-time login link for oneself or a colleague at the same desk. */
  'link.make',
  /** To make every link in a page and every calendar address worthless. */
  'linkKey.replace',
  /** To break something on purpose, on a server that offers it. */
  'drill.start',
  'deliver',
  'metrics',
] as const;
export type Permission = (typeof permissions)[number];

/** The one table. Roles of people are those of the handbook; `intake` and `metrics` are for machines. */
export const rolePermissions = {
  'sovereign-admin': [
    'read',
    'incident.act',
    'run.start',
    'run.approve',
    'run.cancel',
    'record.read',
    'record.verify',
    'catalog.refresh',
    'link.make',
    'linkKey.replace',
    'drill.start',
    'metrics',
  ],
  'security-officer': ['read', 'run.approve', 'record.read', 'record.verify', 'linkKey.replace'],
  'billing-admin': ['read'],
  'org-admin': ['read', 'incident.act', 'run.start', 'run.approve', 'run.cancel', 'record.read', 'catalog.refresh'],
  'org-developer': ['read', 'incident.act', 'run.start'],
  'org-viewer': ['read'],
  intake: ['deliver'],
  metrics: ['metrics'],
} as const satisfies Record<string, readonly Permission[]>;

export type Role = keyof typeof rolePermissions;
export const roles = Object.keys(rolePermissions) as Role[];

/** Roles that make sense only inside one Organization. */
export const organizationRoles: readonly Role[] = ['org-admin', 'org-developer', 'org-viewer'];

export function isAllowed(role: Role, permission: Permission): boolean {
  return (rolePermissions[role] as readonly Permission[]).includes(permission);
}

/** Who is asking. */
export interface Actor {
  /** As the record names it: `token/ci`, `user/mira`. */
  id: string;
  role: Role;
  /** Its slice; undefined for the whole Sovereign. */
  organization?: string | undefined;
}

/** A token as the API holds it: never the token itself. */
export interface AccessToken {
  name: string;
  role: Role;
  organization?: string | undefined;
  /** SHA-256 of the token. Tokens are long random words, so a plain hash is enough. */
  hash: Buffer;
}

export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** The actor a header `Authorization: Bearer …` stands for. Takes the same time whichever token, or none, is right. */
export function authenticate(header: string | undefined, tokens: readonly AccessToken[]): Actor | undefined {
  const presented = hashToken(/^bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? '');
  let found: AccessToken | undefined;
  for (const token of tokens) if (timingSafeEqual(presented, token.hash)) found = token;
  return found && { id: `token/${found.name}`, role: found.role, organization: found.organization };
}
