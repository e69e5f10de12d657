import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ClaimRules, readClaims, wrongRule } from './claims.ts';

const rules: ClaimRules = {
  usernameClaim: 'preferred_username',
  grantsClaim: 'realm_access.roles',
  grants: [
    { value: 'acme-viewers', role: 'org-viewer', organization: 'acme' },
    { value: 'admins', role: 'sovereign-admin' },
    { value: 'acme-admins', role: 'org-admin', organization: 'acme' },
  ],
};
const claims = (roles: unknown, name: unknown) => ({ preferred_username: name, realm_access: { roles } });

test('roles come from the values of the claim, the strongest first, each once', () => {
  assert.deepEqual(readClaims(claims(['acme-admins', 'admins', 'acme-viewers', 'admins', 'other'], 'mira'), rules), {
    ok: true,
    person: 'user/mira',
    grants: [
      { role: 'sovereign-admin' },
      { role: 'org-admin', organization: 'acme' },
      { role: 'org-viewer', organization: 'acme' },
    ],
  });
});

test('a claim whose name holds dots, and a claim with one word, are read too', () => {
  const named = { sub: 'x1', 'https://example/roles': 'admins' };
  const claimed = readClaims(named, { ...rules, usernameClaim: 'sub', grantsClaim: 'https://example/roles' });
  assert.deepEqual(claimed, { ok: true, person: 'user/x1', grants: [{ role: 'sovereign-admin' }] });
});

test('who has no role, or no usable name, is nobody', () => {
  for (const roles of [[], ['nobody'], undefined, null, 7, {}, [['admins']], ['ADMINS'], '__proto__'])
    assert.equal(readClaims(claims(roles, 'mira'), rules).ok, false, JSON.stringify(roles));
  for (const name of ['', undefined, 7, 'a\nb', 'token/ci', '<b>', ' mira', 'x'.repeat(200)])
    assert.equal(readClaims(claims(['admins'], name), rules).ok, false, JSON.stringify(name));
});

test('whatever a provider says, nobody gets a role that no rule gives', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.string()), (more, roles) => {
      const claimed = readClaims({ ...more, ...claims(roles, 'mira') }, rules);
      const allowed = rules.grants.filter(({ value }) => roles.includes(value));
      assert.equal(claimed.ok, allowed.length > 0);
      if (claimed.ok) assert.equal(claimed.grants.length, allowed.length);
    }),
  );
});

test('rules that cannot be meant so are refused', () => {
  assert.match(wrongRule({ role: 'intake' }) ?? '', /for tokens/);
  assert.match(wrongRule({ role: 'org-admin' }) ?? '', /organization/);
  assert.match(wrongRule({ role: 'sovereign-admin', organization: 'acme' }) ?? '', /org-admin/);
  assert.equal(wrongRule({ role: 'billing-admin' }), undefined);
});
