import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CatalystError } from '../../errors.ts';
import { checkFolder, checkRef, parseGitAddress, repositoryOf } from './git-address.ts';

const refused = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof CatalystError && error.code === 'InvalidResource', String(error));
    return `${error.message} ${error.hint}`;
  }
  return undefined;
};

test('addresses people write', () => {
  const cases = [
    ['https://gitea.example/acme/runbooks.git', 'https', 'acme/runbooks'],
    ['https://gitea.example:3000/git/acme/runbooks/', 'https', 'acme/runbooks'],
    ['ssh://git@gitea.example:22/acme/runbooks.git', 'ssh', 'acme/runbooks'],
    ['git@gitea.example:acme/runbooks.git', 'ssh', 'acme/runbooks'],
    ['gitea.example:acme/runbooks', 'ssh', 'acme/runbooks'],
    ['/srv/git/acme/runbooks.git', 'file', 'acme/runbooks'],
    ['http://127.0.0.1:3000/acme/runbooks', 'http', 'acme/runbooks'],
    ['http://localhost/acme/runbooks', 'http', 'acme/runbooks'],
    ['http://[::1]/acme/runbooks', 'http', 'acme/runbooks'],
  ] as const;
  for (const [url, protocol, repository] of cases)
    assert.deepEqual(parseGitAddress(url), { url, protocol, repository });
  assert.equal(repositoryOf('/runbooks'), undefined);
});

test('addresses that would run a program, leak or read what nobody meant are refused', () => {
  const addresses = [
    'ext::sh -c touch% /tmp/x',
    'fd::7',
    '--upload-pack=touch',
    '-oProxyCommand=x:y',
    'git@-oProxyCommand=touch:x',
    'ssh://-oProxyCommand=touch/x',
    'ssh://-lroot@host/x',
    'file:///etc',
    'git://gitea.example/acme/runbooks',
    'ftp://gitea.example/acme/runbooks',
    'http://gitea.example/acme/runbooks',
    'http://127.0.0.1.evil.example/acme/runbooks',
    'https://gitea.example/acme/runbooks?x=y',
    'https://gitea.example/acme/run\nbooks',
    'https://',
    'relative/path',
    '../up',
    '',
  ];
  for (const address of addresses)
    assert.ok(
      refused(() => parseGitAddress(address)),
      address,
    );
});

test('credentials in an address are refused and not repeated', () => {
  for (const address of [
    'https://user:s3cret@gitea.example/a/b',
    'https://s3cret@gitea.example/a/b',
    'ssh://git:s3cret@gitea.example/a/b',
    'https://gitea.example/a/b?token=s3cret',
  ]) {
    const said = refused(() => parseGitAddress(address));
    assert.ok(said !== undefined && !said.includes('s3cret'), said);
  }
});

test('refs are names of branches and tags and nothing git would take for more', () => {
  for (const ref of ['main', 'release-1.2', 'feature/x', 'v1.0.0', 'refs/heads/main', 'größe'])
    assert.equal(checkRef(ref), ref);
  for (const ref of [
    '',
    '-x',
    '--upload-pack=x',
    '+main',
    'a:b',
    'a b',
    'a..b',
    'a~1',
    'a^',
    'a@{1}',
    '@',
    '/a',
    'a/',
    'a.',
    'a.lock',
    'a//b',
    'a/.b',
    'a\n',
    'a*',
    'x'.repeat(256),
  ])
    assert.ok(
      refused(() => checkRef(ref)),
      ref,
    );
});

test('folders stay inside the repository', () => {
  assert.deepEqual(['.', './', '', 'a', './a/b/', 'a/../b'].map(checkFolder), ['', '', '', 'a', 'a/b', 'b']);
  for (const path of ['..', '../a', '/a', 'a/../../b', 'a\nb'])
    assert.ok(
      refused(() => checkFolder(path)),
      path,
    );
  fc.assert(
    fc.property(fc.array(fc.constantFrom('..', '.', 'a', '', 'b'), { maxLength: 6 }), (parts) => {
      const path = parts.join('/');
      let folder = '';
      if (refused(() => (folder = checkFolder(path))) !== undefined) return;
      assert.ok(!folder.split('/').includes('..') && !folder.startsWith('/') && !folder.endsWith('/'), folder);
    }),
  );
});
