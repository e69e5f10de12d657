/** A person who is logged in: who they are, what they may be, and which of it they are now. */
import type { Actor, Role } from '../access.ts';

/** A role a person has, for the whole Sovereign or inside one Organization. */
export interface Grant {
  role: Role;
  organization?: string | undefined;
}

/** How a person proved who they are. */
export type LoginMethod =
  /** At an OpenID provider. */
  | 'Oidc'
  /** By a one-time link that a sovereign-admin, or the sandbox, handed out. */
  | 'Link';

/** Times are milliseconds since the epoch. */
export interface Session {
  /** SHA-256 of the cookie, hex: the cookie itself is nowhere but in the browser. */
  id: string;
  /** As the record names the person: `user/<name>`. */
  person: string;
  method: LoginMethod;
  /** Every role the person may take, the first one taken at login. */
  grants: readonly Grant[];
  /** Position in `grants` of the one that counts now. */
  active: number;
  /** What a request that changes something has to repeat in a header: another site cannot read it. */
  csrf: string;
  createdAt: number;
  lastSeenAt: number;
  expiresAt: number;
}

/** The person as access control and the record see them: one role at a time. */
export function actorOfSession({ person, grants, active }: Session): Actor {
  const grant = grants[active];
  if (!grant) throw new Error(`The session of ${person} has no grant ${active}.`);
  return { id: person, role: grant.role, organization: grant.organization };
}

/** Strongest first: what a person is right after login, where they may be several things. */
const order: readonly Role[] = [
  'sovereign-admin',
  'security-officer',
  'billing-admin',
  'org-admin',
  'org-developer',
  'org-viewer',
];

/** The same grants, each once, the strongest first. */
export function sortedGrants(grants: readonly Grant[]): Grant[] {
  const byKey = new Map(grants.map((grant) => [`${grant.role}/${grant.organization ?? ''}`, grant]));
  return [...byKey.values()].sort(
    (a, b) =>
      order.indexOf(a.role) - order.indexOf(b.role) || (a.organization ?? '').localeCompare(b.organization ?? ''),
  );
}
