import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { systemClock, VirtualClock } from '../../clock.ts';
import type { CatalogSource, SourceSnapshot } from '../source.ts';
import { maxFileBytes } from './file-rules.ts';
import { createGitSource, type GitSourceOptions } from './git.ts';

const run = promisify(execFile);

/** A repository people push to, and a place to commit in. */
async function repository(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'git-source-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const bare = join(root, 'acme', 'runbooks.git');
  const work = join(root, 'work');
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: root, GIT_CONFIG_NOSYSTEM: '1' };
  const git = async (...args: string[]) => {
    const who = ['-c', 'user.name=A', '-c', 'user.email=a@example', '-c', 'protocol.file.allow=always'];
    return (await run('git', [...who, '-C', work, ...args], { env })).stdout.trim();
  };
  await mkdir(work);
  await run('git', ['init', '-q', '--bare', '-b', 'main', bare], { env });
  await run('git', ['init', '-q', '-b', 'main', work], { env });
  const write = async (files: Record<string, string>) => {
    for (const [file, text] of Object.entries(files)) {
      await mkdir(dirname(join(work, file)), { recursive: true });
      await writeFile(join(work, file), text);
    }
  };
  /** Commits everything and pushes it, by force. Returns the commit hash. */
  const push = async (...options: string[]) => {
    await git('add', '-A');
    await git('commit', '-q', '--allow-empty', '-m', 'c', ...options);
    await git('push', '-q', '--force', bare, 'HEAD:main');
    return git('rev-parse', 'HEAD');
  };
  return { root, bare, work, git, write, push };
}

type Repository = Awaited<ReturnType<typeof repository>>;

function sourceOf(t: TestContext, { root, bare }: Repository, options: Partial<GitSourceOptions> = {}): CatalogSource {
  const source = createGitSource({
    repository: bare,
    ref: 'main',
    path: '.',
    intervalMs: 3_600_000,
    directory: join(root, 'data'),
    clock: systemClock,
    environment: {},
    ...options,
  });
  t.after(() => source.stop());
  return source;
}

async function started(source: CatalogSource): Promise<SourceSnapshot[]> {
  const seen: SourceSnapshot[] = [];
  await source.start((snapshot) => seen.push(snapshot));
  return seen;
}

const texts = (snapshot: SourceSnapshot | undefined) =>
  Object.fromEntries(snapshot?.documents.map(({ file, text }) => [file, text]) ?? []);
const rules = (snapshot: SourceSnapshot | undefined) =>
  snapshot?.problems.map(({ file, rule, severity }) => `${severity} ${rule} ${file}`).toSorted() ?? [];
const sentence = (snapshot: SourceSnapshot | undefined) =>
  snapshot?.problems.map((one) => one.sentence).join(' ') ?? '';

test('reads the documents of a branch; each change is one snapshot with its commit', async (t) => {
  const repo = await repository(t);
  await repo.write({ 'a.yaml': 'a', 'sub/b.yml': 'b ü', 'readme.md': 'no', 'tests/t.yaml': 'no', '.ci/c.yaml': 'no' });
  const first = await repo.push();
  const source = sourceOf(t, repo);
  assert.deepEqual([source.name, source.repository, source.precedence], ['git:acme/runbooks', 'acme/runbooks', 200]);
  const seen = await started(source);
  assert.deepEqual(texts(seen[0]), { 'a.yaml': 'a', 'sub/b.yml': 'b ü' });
  assert.deepEqual(
    seen[0]?.documents.map(({ revision }) => revision),
    [first, first],
  );
  await source.refresh();
  assert.equal(seen.length, 1, 'nothing changed, nothing told');
  await rm(join(repo.work, 'a.yaml'));
  await repo.write({ 'sub/b.yml': 'b2' });
  const second = await repo.push();
  await source.refresh();
  assert.deepEqual(texts(seen[1]), { 'sub/b.yml': 'b2' });
  assert.equal(seen[1]?.revision, second);
});

test('follows a branch that was forced back, and one whose history was replaced', async (t) => {
  const repo = await repository(t);
  await repo.write({ 'a.yaml': '1' });
  const first = await repo.push();
  await repo.write({ 'a.yaml': '2' });
  await repo.push();
  const source = sourceOf(t, repo);
  const seen = await started(source);
  await repo.git('reset', '-q', '--hard', first);
  await repo.git('push', '-q', '--force', repo.bare, 'HEAD:main');
  await source.refresh();
  assert.equal(seen.at(-1)?.revision, first);
  await repo.git('checkout', '-q', '--orphan', 'fresh');
  await repo.write({ 'a.yaml': '3' });
  await repo.push();
  await source.refresh();
  assert.deepEqual(texts(seen.at(-1)), { 'a.yaml': '3' });
});

test('reads a folder of a tag; a folder that is gone declares nothing and is a problem', async (t) => {
  const repo = await repository(t);
  await repo.write({ 'a.yaml': 'outside', 'sre/runbooks/b.yaml': 'inside', 'sre/runbooks.yaml': 'beside' });
  await repo.push();
  await repo.git('tag', '-a', '-m', 't', 'v1');
  await repo.git('push', '-q', repo.bare, 'v1');
  const tagged = sourceOf(t, repo, { ref: 'v1', path: './sre/runbooks/' });
  assert.deepEqual(texts((await started(tagged))[0]), { 'b.yaml': 'inside' });

  const branch = sourceOf(t, repo, { path: 'sre/runbooks', organization: 'acme' });
  assert.equal(branch.precedence, 300);
  const seen = await started(branch);
  await rm(join(repo.work, 'sre/runbooks'), { recursive: true });
  await repo.push();
  await branch.refresh();
  assert.deepEqual(texts(seen.at(-1)), {});
  assert.deepEqual(rules(seen.at(-1)), ['error folder-missing ']);
  assert.match(sentence(seen.at(-1)), /sre\/runbooks is not in .* at commit [0-9a-f]{12} \(main\)/);
});

test('hostile names, links, submodules, large files and other bytes are told and do no harm', async (t) => {
  const repo = await repository(t);
  const other = await repository(t);
  await other.write({ 'x.yaml': 'x' });
  await other.push();
  await repo.write({
    'good.yaml': 'good',
    '-rf.yaml': 'dash',
    '$(touch pwned).yaml': 'shell',
    'line\nbreak.yaml': 'break',
    'escape\u001b[2J.yaml': 'escape',
    'large.yaml': 'x'.repeat(maxFileBytes + 1),
    'most.yaml': 'x'.repeat(maxFileBytes),
  });
  await writeFile(join(repo.work, 'latin1.yaml'), Buffer.from([0xe4]));
  await writeFile(
    Buffer.concat([Buffer.from(`${repo.work}/bytes`), Buffer.from([0xff]), Buffer.from('.yaml')]),
    'bytes',
  );
  await symlink('/etc/passwd', join(repo.work, 'link.yaml'));
  await symlink('/etc', join(repo.work, 'links'));
  await repo.git('submodule', 'add', '-q', other.bare, 'module');
  await repo.push();
  const [snapshot] = await started(sourceOf(t, repo));
  assert.deepEqual(Object.keys(texts(snapshot)).toSorted(), [
    '$(touch pwned).yaml',
    '-rf.yaml',
    'good.yaml',
    'most.yaml',
  ]);
  assert.deepEqual(rules(snapshot), [
    'error file-name "escape\\u001b[2J.yaml"',
    'error file-name "line\\nbreak.yaml"',
    'error file-name bytes\u{fffd}.yaml',
    'error file-too-large large.yaml',
    'error link link.yaml',
    'error not-utf8 latin1.yaml',
    'warning submodule module',
  ]);
  assert.deepEqual(
    (await readdir(join(repo.root, 'data'))).filter((name) => !name.endsWith('.git')),
    ['home'],
  );
});

test('while the repository is away the last commit serves, also after a restart', async (t) => {
  const repo = await repository(t);
  await repo.write({ 'a.yaml': '1' });
  const commit = await repo.push();
  const before = sourceOf(t, repo);
  const seen = await started(before);
  await rename(repo.bare, `${repo.bare}.away`);
  await before.refresh();
  assert.deepEqual(texts(seen[1]), { 'a.yaml': '1' });
  assert.deepEqual(rules(seen[1]), ['error source-unreachable ']);
  assert.match(sentence(seen[1]), new RegExp(`cannot be read: .*commit ${commit.slice(0, 12)}, goes on serving`));
  await before.refresh();
  assert.equal(seen.length, 2, 'the same failure is told once');
  await before.stop();

  const after = sourceOf(t, repo);
  const again = await started(after);
  assert.deepEqual(texts(again[0]), { 'a.yaml': '1' });
  assert.deepEqual(rules(again[0]), ['error source-unreachable ']);
  await rename(`${repo.bare}.away`, repo.bare);
  await after.refresh();
  assert.deepEqual([texts(again[1]), rules(again[1])], [{ 'a.yaml': '1' }, []]);
  // A branch that is gone is no reason to forget its runbooks.
  await repo.git('--git-dir', repo.bare, 'update-ref', '-d', 'refs/heads/main');
  await after.refresh();
  assert.deepEqual(texts(again.at(-1)), { 'a.yaml': '1' });
  assert.match(sentence(again.at(-1)), /couldn't find remote ref main/);
});

test('a copy that was damaged, or locked by a git that was killed, mends itself', async (t) => {
  const repo = await repository(t);
  await repo.write({ 'a.yaml': '1' });
  await repo.push();
  const source = sourceOf(t, repo);
  const seen = await started(source);
  const [name = ''] = (await readdir(join(repo.root, 'data'))).filter((one) => one.endsWith('.git'));
  const copy = join(repo.root, 'data', name);
  await writeFile(join(copy, 'shallow.lock'), '');
  await writeFile(join(copy, 'refs/catalyst/head.lock'), '');
  await repo.write({ 'a.yaml': '2' });
  await repo.push();
  await source.refresh();
  assert.deepEqual([texts(seen.at(-1)), rules(seen.at(-1))], [{ 'a.yaml': '2' }, []]);

  await rm(join(copy, 'HEAD'));
  await rm(join(copy, 'objects'), { recursive: true });
  await repo.write({ 'a.yaml': '3' });
  await repo.push();
  await source.refresh();
  assert.deepEqual([texts(seen.at(-1)), rules(seen.at(-1))], [{ 'a.yaml': '2' }, ['error source-unreachable ']]);
  await source.refresh();
  assert.deepEqual([texts(seen.at(-1)), rules(seen.at(-1))], [{ 'a.yaml': '3' }, []]);
});

test('failures are tried again later and later, and a push event at once', async (t) => {
  const repo = await repository(t);
  const clock = new VirtualClock();
  const start = clock.now();
  const source = sourceOf(t, repo, { clock, repository: join(repo.root, 'nothing.git'), intervalMs: 60_000 });
  const seen = await started(source);
  assert.match(sentence(seen[0]), /does not appear to be a git repository.*Nothing of it has been read yet/);
  const waits: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    waits.push((clock.nextDue() ?? 0) - clock.now());
    await source.refresh();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(waits, [5_000, 10_000, 20_000]);
  assert.equal(clock.now(), start, 'refresh does not wait');
});

test('calls to refresh share a fetch', async (t) => {
  const repo = await repository(t);
  await repo.write({ 'a.yaml': '1' });
  await repo.push();
  let fetches = 0;
  const server = await listening(t, (request) => {
    fetches += Number(request.url?.includes('info/refs'));
    request.socket.destroy();
  });
  const source = sourceOf(t, repo, { repository: `${server}/acme/runbooks.git` });
  await started(source);
  assert.equal(fetches, 1);
  await Promise.all(Array.from({ length: 20 }, () => source.refresh()));
  // One that may have been under way, and one that began after the last call.
  assert.ok(fetches <= 3, `${fetches} fetches`);
});

/** Serves HTTP on this machine; `onRequest` answers, or does not. */
async function listening(t: TestContext, onRequest: (request: IncomingMessage) => void): Promise<string> {
  const server = createServer(onRequest);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a server that never answers costs the limit of time and no more', async (t) => {
  const repo = await repository(t);
  const server = await listening(t, () => {});
  const source = sourceOf(t, repo, { repository: `${server}/acme/runbooks.git`, fetchLimitMs: 300 });
  const seen = await started(source);
  assert.match(sentence(seen[0]), /git did not end within 0.3 s/);
});

test('stop ends a fetch that hangs', async (t) => {
  const repo = await repository(t);
  const asked = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const server = await listening(t, (request) => {
    request.socket.once('close', () => gone.resolve());
    asked.resolve();
  });
  const source = sourceOf(t, repo, { repository: `${server}/acme/runbooks.git` });
  const seen: SourceSnapshot[] = [];
  const starting = source.start((snapshot) => seen.push(snapshot));
  await asked.promise;
  await source.stop();
  await starting;
  // The program that git started for HTTP has ended, too.
  await gone.promise;
  assert.deepEqual(seen, []);
});

test('the token goes to the server in a header, is read anew each time, and is told nowhere', async (t) => {
  const repo = await repository(t);
  const headers: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    headers.push(request.headers.authorization);
    const token = Buffer.from(request.headers.authorization?.split(' ')[1] ?? '', 'base64').toString();
    // A server that repeats what it was sent.
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`bad ${request.headers.authorization} ${token}\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/acme/runbooks.git`;
  const tokens = ['first-token', 'second-token'];
  const source = sourceOf(t, repo, { repository: url, token: async () => tokens.shift() ?? 'none-left' });
  const seen = await started(source);
  await source.refresh();
  const basic = (token: string) => `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  assert.deepEqual(headers.slice(0, 2), [basic('first-token'), basic('second-token')]);
  const told = JSON.stringify(seen);
  assert.match(told, /cannot be read: .*\[redacted\]/);
  for (const token of ['first-token', 'second-token'])
    for (const secret of [token, basic(token).slice(6)]) assert.ok(!told.includes(secret), told);
  const [copy = ''] = (await readdir(join(repo.root, 'data'))).filter((name) => name.endsWith('.git'));
  assert.doesNotMatch(await readFile(join(repo.root, 'data', copy, 'config'), 'utf8'), /token|uthorization|extra/);
});

test('a server that sends elsewhere is not followed, and one that asks who is there is told no', async (t) => {
  const repo = await repository(t);
  let elsewhere = 0;
  const other = await listening(t, (request) => {
    elsewhere += 1;
    request.socket.destroy();
  });
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/private')) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    else response.writeHead(302, { location: `${other}${request.url}` }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const redirected = await started(
    sourceOf(t, repo, { repository: `${url}/acme/runbooks.git`, token: async () => 'a-token' }),
  );
  assert.deepEqual(rules(redirected[0]), ['error source-unreachable ']);
  assert.equal(elsewhere, 0);
  const asked = await started(sourceOf(t, repo, { repository: `${url}/private/runbooks.git` }));
  assert.match(sentence(asked[0]), /name one in tokenFile/);
});

test('without git the problem says so', async (t) => {
  const repo = await repository(t);
  const seen = await started(sourceOf(t, repo, { environment: { PATH: repo.root } }));
  assert.match(sentence(seen[0]), /git is not installed on this machine/);
});
