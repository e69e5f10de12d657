/** What an OpenID provider says about a person, turned into who they are here. Pure. */
import { organizationRoles, type Role } from '../access.ts';
import { type Grant, sortedGrants } from './session.ts';

/** One line of the configuration: who has the value in the claim has the role. */
export interface GrantRule extends Grant {
  value: string;
}

export interface ClaimRules {
  /** Claim that names the person for good: Keycloak's `preferred_username` where names cannot be changed, else `sub`. */
  usernameClaim: string;
  /** Dotted path of the claim that lists roles or groups: Keycloak has `realm_access.roles` and `groups`. */
  grantsClaim: string;
  grants: readonly GrantRule[];
}

export type Claimed = { ok: true; person: string; grants: Grant[] } | { ok: false; sentence: string };

/** Names end up in the record and on screens: one line, no control characters, and no slash that could imitate a prefix. */
const personPattern = /^[\p{L}\p{N}][\p{L}\p{N}._@+ -]{0,127}$/u;

/** Roles of machines are for tokens; no provider can hand them out. */
const machineRoles: readonly Role[] = ['intake', 'metrics'];

/** Who the claims stand for, or why nobody. A person without a role is refused: a login alone opens nothing. */
export function readClaims(claims: Readonly<Record<string, unknown>>, rules: ClaimRules): Claimed {
  const name = valueAt(claims, rules.usernameClaim);
  if (typeof name !== 'string' || !personPattern.test(name))
    return { ok: false, sentence: `The claim ${rules.usernameClaim} holds no name that can be used.` };
  const values = listAt(claims, rules.grantsClaim);
  const grants = sortedGrants(rules.grants.filter(({ value }) => values.has(value)).map(grantOf));
  if (grants.length === 0)
    return { ok: false, sentence: `${name} has none of the roles that are configured (claim ${rules.grantsClaim}).` };
  return { ok: true, person: `user/${name}`, grants };
}

function grantOf({ role, organization }: GrantRule): Grant {
  return organization === undefined ? { role } : { role, organization };
}

/** Why the configuration cannot mean that people get this, or undefined. */
export function wrongRule(grant: Grant): string | undefined {
  return machineRoles.includes(grant.role)
    ? `The role ${grant.role} is for tokens, not for people.`
    : misplacedRole(grant);
}

/** Why a role cannot stand with, or without, an Organization, or undefined. */
export function misplacedRole({ role, organization }: Grant): string | undefined {
  if (organizationRoles.includes(role) && organization === undefined)
    return `The role ${role} is a role inside an Organization: give "organization", too.`;
  if (role === 'sovereign-admin' && organization !== undefined)
    return 'A sovereign-admin is for the whole Sovereign: leave "organization" out, or use org-admin.';
  return undefined;
}

function valueAt(claims: Readonly<Record<string, unknown>>, path: string): unknown {
  // A claim may itself hold dots, as namespaced claims do: the whole name goes first.
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const part of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** A list of words, or one word; anything else in the list is passed over. */
function listAt(claims: Readonly<Record<string, unknown>>, path: string): ReadonlySet<string> {
  const value = valueAt(claims, path);
  const items: unknown[] = Array.isArray(value) ? value : [value];
  return new Set(items.filter((item) => typeof item === 'string'));
}
