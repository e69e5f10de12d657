/**
 * Runs the `git` of the system, shut in: no configuration but ours, one protocol, no questions, no hooks, a limit of time
 * and of output, and secrets only in its environment, where no list of processes shows them.
 */
import { spawn } from 'node:child_process';
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';

export interface GitOptions {
  clock: Clock;
  /** An empty folder that stands for the home of the user, so that nothing of the real one counts. */
  home: string;
  /** The environment of the process; only what is named in `passedOn` reaches git. */
  environment: Readonly<Record<string, string | undefined>>;
}

export interface GitCall {
  signal: AbortSignal;
  /** ms. */
  limitMs: number;
  /** More output than this is an error. */
  maxBytes: number;
  /** The protocol it may speak; without one it may not use any. */
  protocol?: string;
  /** Sent as `Authorization: Basic` to the HTTP server. */
  token?: string;
  input?: string;
}

/** Runs one command and returns what it wrote. Throws CatalystError; its sentence never holds the token. */
export type Git = (args: readonly string[], call: GitCall) => Promise<Buffer>;

/** Where programs are when the process itself was started without PATH. */
const usualPath = '/usr/local/bin:/usr/bin:/bin';
/** What a network needs: proxies, authorities, the SSH agent. */
const passedOn = [
  'PATH',
  'HTTPS_PROXY',
  'https_proxy',
  'NO_PROXY',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'SSH_AUTH_SOCK',
];
/** git removes its lock files on SIGTERM; after this time it is killed, ms. */
const graceMs = 2_000;
/** The end of what git says holds the reason. */
const maxErrorBytes = 8 * 1024;

export function createGit({ clock, home, environment }: GitOptions): Git {
  return async (args, call) => {
    const { signal, limitMs, maxBytes, input = '' } = call;
    signal.throwIfAborted();
    const env = environmentOf(home, environment, call);
    // A process group of its own: git starts others (git-remote-https, ssh), and they must end with it.
    const child = spawn('git', args, { env, cwd: '/', detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    const over = new AbortController();
    let cutShort: CatalystError | undefined;
    const end = (reason: CatalystError) => {
      if (cutShort !== undefined || over.signal.aborted) return;
      cutShort = reason;
      killGroup(child.pid, 'SIGTERM');
      clock.sleep(graceMs, over.signal).then(
        () => killGroup(child.pid, 'SIGKILL'),
        () => {},
      );
    };
    const onAbort = () => end(new CatalystError('Unavailable', 'It was stopped.'));
    signal.addEventListener('abort', onAbort, { once: true });
    clock.sleep(limitMs, over.signal).then(
      () => end(new CatalystError('TimedOut', `git did not end within ${limitMs / 1000} s.`)),
      () => {},
    );

    const output: Buffer[] = [];
    let bytes = 0;
    let complaint = Buffer.alloc(0);
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) return end(new CatalystError('TooLarge', `git gave more than ${maxBytes} bytes.`));
      output.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = Buffer.concat([complaint, chunk]).subarray(-maxErrorBytes);
    });
    // It may end without reading its input; why is in what it says and in its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', resolve);
      });
      if (cutShort !== undefined) throw cutShort;
      if (code !== 0) throw new CatalystError('UpstreamUnavailable', reasonOf(complaint, code, call.token));
      return Buffer.concat(output);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new CatalystError('NotConfigured', 'git is not installed on this machine.', { cause: error });
    } finally {
      over.abort();
      signal.removeEventListener('abort', onAbort);
    }
  };
}

function environmentOf(home: string, environment: GitOptions['environment'], { protocol, token }: GitCall) {
  const passed = passedOn.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]]));
  const config: [string, string][] = [
    ['protocol.allow', 'never'],
    ...(protocol === undefined ? [] : [[`protocol.${protocol}.allow`, 'always'] as [string, string]]),
    // A redirect could carry the token to another server.
    ['http.followRedirects', 'false'],
    // It ends by itself, too, should this process be killed: less than 1 byte/s for 60 s.
    ['http.lowSpeedLimit', '1'],
    ['http.lowSpeedTime', '60'],
    ['core.hooksPath', '/dev/null'],
    ['credential.helper', ''],
    ['core.askPass', ''],
    ['gc.auto', '0'],
    ['maintenance.auto', 'false'],
    ['fetch.recurseSubmodules', 'false'],
    ...(token === undefined ? [] : [['http.extraHeader', `Authorization: ${basic(token)}`] as [string, string]]),
  ];
  return {
    PATH: usualPath,
    ...Object.fromEntries(passed),
    HOME: home,
    XDG_CONFIG_HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    // No questions, no unknown host, no wait for a server that drops packets. Keys and known hosts are the user's own.
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=10',
    GIT_CONFIG_COUNT: String(config.length),
    ...Object.fromEntries(config.map(([key], n) => [`GIT_CONFIG_KEY_${n}`, key])),
    ...Object.fromEntries(config.map(([, value], n) => [`GIT_CONFIG_VALUE_${n}`, value])),
  };
}

/** Gitea, GitHub and GitLab take an access token as the password of any user. */
function basic(token: string): string {
  return `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
}

/** What git said, as one line that people can read and that holds neither the token nor terminal sequences. */
function reasonOf(complaint: Buffer, code: number | null, token: string | undefined): string {
  const lines = complaint
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const telling = lines.filter((line) => /^(fatal|error|remote):/.test(line));
  let text = (telling.length > 0 ? telling : lines).join(' ').replaceAll(/\p{Cc}+/gu, ' ');
  if (token !== undefined && token !== '')
    for (const secret of [basic(token).slice('Basic '.length), token]) text = text.replaceAll(secret, '[redacted]');
  if (/terminal prompts disabled|Authentication failed/.test(text))
    text += token === undefined ? ' (It asks for a token: name one in tokenFile.)' : ' (It does not take the token.)';
  // Longer is no longer a sentence.
  return text.slice(0, 600).trim() || `git ended with code ${code}`;
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended already.
  }
}
