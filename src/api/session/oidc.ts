/**
 * Logging in at an OpenID provider: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0 §3.1,
 * RFC 7636). The provider is asked for its metadata at the first login, so that the product starts without it.
 */
import * as client from 'openid-client';
import { CatalystError, messageOf } from '../../errors.ts';
import { type Claimed, type ClaimRules, readClaims } from './claims.ts';

export interface OidcOptions extends ClaimRules {
  issuer: string;
  clientId: string;
  /** Undefined for a public client, which PKCE protects. */
  clientSecret?: string | undefined;
  scopes: readonly string[];
  /** Where the provider sends the browser back to; registered there to the letter. */
  redirectUri: string;
}

/** What has to be remembered between sending the browser away and its return. */
export interface LoginAttempt {
  state: string;
  nonce: string;
  verifier: string;
}

export interface Oidc {
  /** Where to send the browser, and what to remember. Throws Unavailable when the provider cannot be asked. */
  begin(): Promise<{ url: string; attempt: LoginAttempt }>;
  /**
   * Who came back. Throws Unauthenticated when the provider, or the answer, says no; Unavailable when it does not answer.
   * @param returned the address the browser came back to, as it was
   */
  finish(returned: URL, attempt: LoginAttempt): Promise<Claimed>;
}

/** A provider that has not answered by then is down, s: a person is waiting. */
const providerTimeoutSeconds = 10;

export function createOidc(options: OidcOptions): Oidc {
  let known: Promise<client.Configuration> | undefined;

  async function provider(): Promise<client.Configuration> {
    known ??= discover(options);
    try {
      return await known;
    } catch (error) {
      // The next login asks again.
      known = undefined;
      throw new CatalystError('Unavailable', `The OpenID provider cannot be asked: ${messageOf(error)}.`, {
        cause: error,
      });
    }
  }

  return {
    async begin() {
      const configuration = await provider();
      const attempt = {
        state: client.randomState(),
        nonce: client.randomNonce(),
        verifier: client.randomPKCECodeVerifier(),
      };
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: options.redirectUri,
        scope: options.scopes.join(' '),
        code_challenge: await client.calculatePKCECodeChallenge(attempt.verifier),
        code_challenge_method: 'S256',
        state: attempt.state,
        nonce: attempt.nonce,
      });
      return { url: url.href, attempt };
    },
    async finish(returned, { state, nonce, verifier }) {
      const configuration = await provider();
      // The provider compares with what is registered; behind a proxy the request itself names another host.
      const current = new URL(options.redirectUri);
      current.search = returned.search;
      try {
        const tokens = await client.authorizationCodeGrant(configuration, current, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        });
        const claims = tokens.claims();
        if (!claims) throw new Error('there is no ID token');
        return readClaims({ ...(await userInfo(configuration, tokens.access_token, claims.sub)), ...claims }, options);
      } catch (error) {
        if (error instanceof CatalystError) throw error;
        throw refusal(error);
      }
    },
  };
}

function discover({ issuer, clientId, clientSecret }: OidcOptions): Promise<client.Configuration> {
  const url = new URL(issuer);
  return client.discovery(
    url,
    clientId,
    undefined,
    clientSecret === undefined ? client.None() : client.ClientSecretBasic(clientSecret),
    {
      timeout: providerTimeoutSeconds,
      // Plain HTTP only for a provider on this machine; the configuration's check refuses it elsewhere.
      execute: url.protocol === 'http:' ? [client.allowInsecureRequests] : [],
    },
  );
}

/** Keycloak puts roles into the access token and, where a mapper says so, into the ID token or here. */
async function userInfo(configuration: client.Configuration, accessToken: string, subject: string) {
  if (configuration.serverMetadata().userinfo_endpoint === undefined) return {};
  return client.fetchUserInfo(configuration, accessToken, subject);
}

/** Errors of OAuth name no secret, but what a provider writes into a description is its own: only the code is kept. */
function refusal(error: unknown): CatalystError {
  const code = (error as { error?: unknown }).error;
  if (typeof code === 'string' && /^[a-z_]{1,64}$/.test(code))
    return new CatalystError('Unauthenticated', `The OpenID provider refused the login: ${code}.`, { cause: error });
  const { name, cause } = error as { name?: string; cause?: unknown };
  if (name === 'TimeoutError' || name === 'TypeError' || cause instanceof TypeError)
    return new CatalystError('Unavailable', 'The OpenID provider did not answer.', { cause: error });
  return new CatalystError('Unauthenticated', 'The answer of the OpenID provider cannot be trusted.', { cause: error });
}
