/**
 * A real, certified OpenID provider on loopback (npm oidc-provider) with Keycloak's claims: a realm of a few people whose
 * password is their name. `logIn` does what a browser would: follows redirects, keeps cookies, fills the forms in.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';

export interface OpenIdProvider {
  issuer: string;
  /** Walks from the product's `/auth/login` to the provider and back. @returns where the product sent the browser, and its cookies */
  logIn(start: string, person: string, browser?: CookieJar): Promise<{ location: string; jar: CookieJar }>;
  close(): Promise<void>;
}

export interface OpenIdRealm {
  client: { id: string; secret: string; redirectUri: string };
  /** Realm roles by person, as Keycloak's `realm_access.roles`. */
  people: Readonly<Record<string, readonly string[]>>;
}

export async function startOpenIdProvider({ client, people }: OpenIdRealm): Promise<OpenIdProvider> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: [client.redirectUri],
        // Loopback over http is what a native application has.
        application_type: 'native',
      },
    ],
    claims: { openid: ['sub'], profile: ['preferred_username', 'realm_access'] },
    findAccount: async (_context, id) => ({
      accountId: id,
      claims: async () => ({
        sub: `sub-of-${id}`,
        preferred_username: id,
        realm_access: { roles: [...(people[id] ?? [])] },
      }),
    }),
    cookies: { keys: ['only-for-tests'] },
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  return {
    issuer,
    async logIn(start, person, browser = new CookieJar()) {
      let page = await browser.fetch(start);
      for (let hop = 0; hop < 20; hop++) {
        const location = page.headers.get('location');
        if (location === null) {
          page = await submit(browser, page, person);
          continue;
        }
        const next = new URL(location, page.url);
        // Back at the product, with its cookie set: where it leads is what the test looks at.
        if (next.origin === new URL(start).origin && !next.pathname.startsWith('/auth/'))
          return { location: next.pathname + next.search, jar: browser };
        page = await browser.fetch(next.href);
      }
      throw new Error('The login went round in circles.');
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The provider's own development pages: one form each, for the name and for the consent. */
async function submit(browser: CookieJar, page: Response, person: string): Promise<Response> {
  const html = await page.text();
  const action = /<form[^>]*action="([^"]+)"/.exec(html)?.[1];
  if (action === undefined) throw new Error(`A page without a form, status ${page.status}: ${html.slice(0, 300)}`);
  const fields = new URLSearchParams();
  for (const [, name, value] of html.matchAll(/<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g))
    fields.set(name ?? '', value ?? '');
  if (html.includes('name="login"')) {
    fields.set('login', person);
    fields.set('password', person);
  }
  return browser.fetch(new URL(action, page.url).href, { method: 'POST', body: fields });
}

/** Cookies by origin and name, as far as these servers need them. */
export class CookieJar {
  readonly #cookies = new Map<string, Map<string, string>>();

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(url);
    const own = this.#cookies.get(origin) ?? new Map<string, string>();
    const cookie = [...own].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = new Headers(init.headers);
    if (cookie !== '') headers.set('cookie', cookie);
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      const split = pair.indexOf('=');
      const [name, value] = [pair.slice(0, split), pair.slice(split + 1)];
      if (value === '') own.delete(name);
      else own.set(name, value);
    }
    this.#cookies.set(origin, own);
    return response;
  }
}
