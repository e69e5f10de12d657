/** Bare git repositories over smart HTTP: `git http-backend` behind a small server on loopback. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  demand,
  findPrograms,
  type Programs,
  type Running,
  runProgram,
  temporaryDirectory,
  tiedToUs,
} from './process.ts';

export interface GitHttpOptions {
  /** Asked of every request when given: HTTP basic, or a bearer token. */
  auth?: { username: string; password: string } | { token: string };
}

export interface GitRepository {
  /** Clone URL, without credentials. */
  readonly url: string;
  /** The bare repository on disk. */
  readonly path: string;
}

export interface GitHttp extends Running {
  /** Base URL, `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** Creates an empty bare repository, default branch `main`, that can be cloned and pushed to. */
  createRepository(name: string): GitRepository;
}

const KEPT_LINES = 200;

/** Whether git's HTTP backend can be run here. */
export function findGitHttp(): Programs<'git' | 'git-http-backend'> {
  return findPrograms(['git', 'git-http-backend'], ['/usr/bin', '/usr/lib/git-core']);
}

/** Serves a fresh, empty folder of repositories on a free loopback port. */
export async function startGitHttp(options: GitHttpOptions = {}): Promise<GitHttp> {
  const programs = demand(findGitHttp());
  const directory = temporaryDirectory('git');
  const lines: string[] = [];
  const running = new Set<ChildProcessWithoutNullStreams>();
  const log = (line: string): void => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
  };
  const server = createServer((request, response) => {
    response.once('close', () => log(`${request.method} ${request.url} ${response.statusCode}`));
    if (!admits(options.auth, request.headers.authorization)) {
      const scheme = options.auth !== undefined && 'token' in options.auth ? 'Bearer' : 'Basic realm="git"';
      response.writeHead(401, { 'www-authenticate': scheme }).end('authentication required\n');
      return;
    }
    const path = decodedPath(request);
    if (path === undefined) {
      response.writeHead(400).end('malformed path\n');
      return;
    }
    const backend = startBackend(programs['git-http-backend'], directory.path, path, request);
    running.add(backend);
    backend.once('close', () => running.delete(backend));
    backend.once('error', (error) => response.writableEnded || response.writeHead(500).end(`${error.message}\n`));
    backend.stderr.on('data', (chunk) => log(String(chunk).trimEnd()));
    // A client that hangs up must not bring the server down.
    backend.stdin.on('error', () => {});
    request.pipe(backend.stdin);
    relay(backend, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  server.unref();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    logs: () => lines.join('\n'),
    stop: async () => {
      for (const backend of running) backend.kill('SIGKILL');
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      directory.remove();
    },
    createRepository: (name) => {
      const path = join(directory.path, `${name}.git`);
      runProgram(programs.git, ['init', '--quiet', '--bare', '--initial-branch=main', path]);
      // Without it git lets only authenticated users push.
      runProgram(programs.git, ['-C', path, 'config', 'http.receivepack', 'true']);
      return { path, url: `${url}/${name}.git` };
    },
  };
}

function admits(auth: GitHttpOptions['auth'], header: string | undefined): boolean {
  if (auth === undefined) return true;
  const expected =
    'token' in auth
      ? `Bearer ${auth.token}`
      : `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
  const [given, wanted] = [Buffer.from(header ?? ''), Buffer.from(expected)];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function decodedPath(request: IncomingMessage): string | undefined {
  try {
    return decodeURIComponent(request.url?.split('?')[0] ?? '/');
  } catch {
    return undefined;
  }
}

/** RFC 3875 (CGI): the request's head in variables, its body on standard input. */
function startBackend(
  program: string,
  root: string,
  path: string,
  request: IncomingMessage,
): ChildProcessWithoutNullStreams {
  const header = (name: string): string => String(request.headers[name] ?? '');
  const tied = tiedToUs(program, []);
  return spawn(tied.program, tied.args, {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: header('git-protocol'),
      REQUEST_METHOD: request.method ?? 'GET',
      PATH_INFO: path,
      QUERY_STRING: request.url?.split('?')[1] ?? '',
      CONTENT_TYPE: header('content-type'),
      CONTENT_LENGTH: header('content-length'),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      REMOTE_ADDR: '127.0.0.1',
    },
  });
}

/** Passes the backend's answer on: header lines up to an empty one, a `Status` among them, then the body. */
function relay(backend: ChildProcessWithoutNullStreams, response: ServerResponse): void {
  let head = Buffer.alloc(0);
  let inBody = false;
  backend.stdout.on('data', (chunk: Buffer) => {
    if (inBody) {
      response.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    inBody = true;
    let status = 200;
    for (const line of head.subarray(0, end).toString().split('\r\n')) {
      const [name = '', value = ''] = line.split(/:\s*(.*)/s);
      if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.writeHead(status);
    response.write(head.subarray(end + 4));
  });
  backend.once('close', () => {
    if (!inBody) response.writeHead(500);
    response.end();
  });
}
