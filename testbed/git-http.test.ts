import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { findGitHttp, startGitHttp } from './git-http.ts';
import { temporaryDirectory } from './process.ts';
import { describeReal } from './real.ts';

const run = promisify(execFile);

describeReal('real git over HTTP', findGitHttp, () => {
  test('push, and clone what was pushed', async (context) => {
    const [server, directory] = [await startGitHttp(), temporaryDirectory('clones')];
    context.after(server.stop);
    context.after(directory.remove);
    const repository = server.createRepository('team/config');
    const [mine, yours] = [join(directory.path, 'mine'), join(directory.path, 'yours')];
    await git(['clone', '--quiet', repository.url, mine]);
    // Larger than git's POST buffer (1 MiB), so that the push is sent in chunks without a length.
    const content = Array.from({ length: 400_000 }, (_, line) => (line * 2_654_435_761) % 4_294_967_296).join('\n');
    writeFileSync(join(mine, 'values.txt'), content);
    await commitAll(mine, 'feat: values');
    await git(['-C', mine, 'push', '--quiet', 'origin', 'HEAD:main']);
    await git(['clone', '--quiet', repository.url, yours]);
    const { stdout } = await git(['-C', yours, 'log', '-1', '--format=%s %H']);
    assert.equal(stdout, (await git(['-C', mine, 'log', '-1', '--format=%s %H'])).stdout);
    assert.equal(
      (await git(['-C', repository.path, 'cat-file', '-s', 'main:values.txt'])).stdout.trim(),
      `${content.length}`,
    );
    assert.match(server.logs(), /POST \/team\/config\.git\/git-receive-pack 200/);
  });

  test('a push that is not a fast-forward is refused', async (context) => {
    const [server, directory] = [await startGitHttp(), temporaryDirectory('clones')];
    context.after(server.stop);
    context.after(directory.remove);
    const repository = server.createRepository('config');
    for (const name of ['one', 'two']) {
      await git(['init', '--quiet', '-b', 'main', join(directory.path, name)]);
      writeFileSync(join(directory.path, name, 'name'), name);
      await commitAll(join(directory.path, name), name);
    }
    await git(['-C', join(directory.path, 'one'), 'push', repository.url, 'main']);
    await assert.rejects(git(['-C', join(directory.path, 'two'), 'push', repository.url, 'main']), /rejected/);
  });

  for (const { kind, auth, header } of [
    { kind: 'basic', auth: { username: 'bot', password: 's:e' }, header: `Basic ${btoa('bot:s:e')}` },
    { kind: 'bearer', auth: { token: 'abc' }, header: 'Bearer abc' },
  ]) {
    test(`asks for ${kind} authentication`, async (context) => {
      const server = await startGitHttp({ auth });
      context.after(server.stop);
      const { url } = server.createRepository('config');
      await assert.rejects(git(['ls-remote', url]), /Authentication failed|could not read Username/);
      await assert.rejects(git(['-c', 'http.extraHeader=Authorization: Bearer wrong', 'ls-remote', url]));
      await git(['-c', `http.extraHeader=Authorization: ${header}`, 'ls-remote', url]);
    });
  }

  test('serves nothing outside its folder', async (context) => {
    const server = await startGitHttp();
    context.after(server.stop);
    for (const path of [
      '/../etc/passwd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/absent.git/info/refs?service=git-upload-pack',
    ]) {
      const response = await fetch(`${server.url}${path}`);
      assert.ok(response.status >= 400, `${path} answers ${response.status}`);
    }
    const { status } = await fetch(`${server.url}/%zz`);
    assert.ok(status >= 400, 'a malformed path is refused, and the server goes on');
    assert.equal((await fetch(`${server.url}/absent.git/HEAD`)).status, 404);
  });
});

function git(args: string[]): Promise<{ stdout: string }> {
  return run('git', args, { env: { ...process.env, GIT_TERMINAL_PROMPT: '0' }, timeout: 60_000 });
}

async function commitAll(directory: string, message: string): Promise<void> {
  await git(['-C', directory, 'add', '.']);
  const who = ['-c', 'user.name=test', '-c', 'user.email=test@localhost'];
  await git(['-C', directory, ...who, 'commit', '--quiet', '-m', message]);
}
