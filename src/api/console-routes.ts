/** The web console: static files, open to everybody, because it holds no data; what it shows it asks the API for. */
import { sep } from 'node:path';
import files from '@fastify/static';
import type { Api } from './fastify.ts';

/** Scripts, styles, fonts and requests of this server only; nothing inline, nothing framed. */
const consolePolicy =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** @param directory the built console, with `index.html`; files below `assets/` have a hash in their name */
export function consoleRoutes(app: Api, directory: string): void {
  app.register(async (scope: Api) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'public' };
      route.schema = { ...route.schema, hide: true };
    });
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
  });
}
