/** The web console: static files, open to everybody, because it holds no data; what it shows it asks the API for. */
import { existsSync } from 'node:fs';
import { join, sep } from 'node:path';
import files from '@fastify/static';
import type { Api } from './fastify.ts';

/** Scripts, styles, fonts and requests of this server only; nothing inline, nothing framed. */
const consolePolicy =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** First segments of the console's own addresses: each, and what is below it, is the one page, which shows that view. */
export const consoleViews = [
  'incidents',
  'runs',
  'runbooks',
  'approvals',
  'slos',
  'on-call',
  'audit',
  'handbook',
  'drills',
  'settings',
] as const;

/** What somebody sees who starts the server from sources without having built the console. */
const notBuilt = `The console is not built, and everything else works.

    npm run build             builds it, once; then restart the server
    npx catalyst-sre --help   the same on the command line
`;

/** @param directory the built console, with `index.html`; files below `assets/` have a hash in their name */
export function consoleRoutes(app: Api, directory: string): void {
  app.register(async (scope: Api) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'public' };
      route.schema = { ...route.schema, hide: true };
    });
    if (!existsSync(join(directory, 'index.html'))) {
      scope.get('/', (_request, reply) => reply.code(503).type('text/plain; charset=utf-8').send(notBuilt));
      return;
    }
    await scope.register(files, {
      root: directory,
      // One route for each file there is: what is not there is answered as everywhere else.
      wildcard: false,
      cacheControl: false,
      setHeaders: (reply, path) => {
        reply.header('content-security-policy', consolePolicy);
        const hashed = path.includes(`${sep}assets${sep}`);
        reply.header('cache-control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
    });
    for (const view of consoleViews)
      for (const path of [`/${view}`, `/${view}/:item`])
        scope.get(path, (_request, reply) => reply.sendFile('index.html'));
  });
}
