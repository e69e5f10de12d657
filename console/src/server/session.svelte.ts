/** Who is logged in. The cookie is the browser's; what is here is what the server says about it. */
import { get, post, ServerError, useSession } from './client.ts';
import { closeStream, openStream } from './stream.svelte.ts';

export interface Grant {
  role: string;
  organization?: string;
}
export interface Session extends Grant {
  person: string;
  method: 'Oidc' | 'Link';
  permissions: string[];
  grants: Grant[];
  csrf: string;
  expiresAt: string;
}
export interface LoginMethods {
  oidc: boolean;
  links: boolean;
}

type State =
  | { kind: 'asking' }
  | { kind: 'out'; ended: boolean }
  | { kind: 'in'; session: Session }
  | { kind: 'unreachable'; sentence: string };

export const login = $state<{ now: State }>({ now: { kind: 'asking' } });

/** While the server cannot be reached, it is asked again so often, ms. */
const askAgainMs = 2_000;

export async function begin(): Promise<void> {
  try {
    enter(await get<Session>('/api/v1/session'));
  } catch (error) {
    if (error instanceof ServerError && error.status === 401) login.now = { kind: 'out', ended: false };
    else {
      login.now = { kind: 'unreachable', sentence: (error as Error).message };
      setTimeout(begin, askAgainMs);
    }
  }
}

function enter(session: Session): void {
  const ended = () => {
    closeStream();
    login.now = { kind: 'out', ended: true };
  };
  useSession(session.csrf, ended);
  login.now = { kind: 'in', session };
  openStream(ended);
}

export async function takeRole(grant: Grant): Promise<void> {
  enter(await post<Session>('/api/v1/session/role', grant));
}

export async function logOut(): Promise<void> {
  await post('/api/v1/session/end');
  closeStream();
  login.now = { kind: 'out', ended: false };
}

export function may(permission: string): boolean {
  return login.now.kind === 'in' && login.now.session.permissions.includes(permission);
}
