/** A man in the middle of a test and an API server: passes requests on, after a fault had its say. */
import http from 'node:http';
import https from 'node:https';
import type { KubernetesApi } from '../../testbed/kubernetes-api.ts';
import { serve, type TestRequest, type TestServer } from '../integrations/support.ts';

/** An API server as tests reach it: the sandbox's or a real one. */
export interface Cluster {
  url: string;
  /** Certificate authority of an HTTPS URL, PEM. */
  ca?: string;
  token: string;
  /** As the administrator, past the relay. */
  api: KubernetesApi;
  /** Makes it forget what was before now; undefined where it never remembers. */
  forget?: () => Promise<void>;
}

/** What is answered instead, `pass` where it did its work and the request goes on, undefined where it waits for another. */
export type Fault = (
  request: TestRequest,
) => [number, unknown, Record<string, string>?] | 'pass' | undefined | Promise<'pass'>;

export interface Relay extends TestServer {
  /** Each is asked about every request until it has had its say once. */
  faults: Fault[];
  /** Patches that the API server took. */
  readonly patches: number;
}

export async function startRelay({ url, ca }: Cluster): Promise<Relay> {
  const faults: Fault[] = [];
  let patches = 0;
  const server = await serve(async (request, response) => {
    for (const fault of faults) {
      const said = fault(request);
      if (said === undefined) continue;
      faults.splice(faults.indexOf(fault), 1);
      const answer = await said;
      if (answer !== 'pass') return answer;
      break;
    }
    passOn(url, ca, request, response, (status) => {
      if (request.method === 'PATCH' && status < 300) patches += 1;
    });
    return undefined;
  });
  return {
    ...server,
    faults,
    get patches() {
      return patches;
    },
  };
}

function passOn(
  to: string,
  ca: string | undefined,
  request: TestRequest,
  response: http.ServerResponse,
  answered: (status: number) => void,
): void {
  const target = new URL(`${request.url.pathname}${request.url.search}`, to);
  const { host: _, ...headers } = request.headers;
  const library = target.protocol === 'https:' ? https : http;
  const far = library.request(target, { method: request.method, headers, ca }, (answer) => {
    answered(answer.statusCode ?? 502);
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    // A watch says nothing for a while: its headers are news enough.
    response.flushHeaders();
    answer.pipe(response);
  });
  far.on('error', () => response.destroy());
  response.on('close', () => far.destroy());
  far.end(request.body);
}
