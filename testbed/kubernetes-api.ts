/** The few calls of the Kubernetes API that the testbed itself needs, over TLS that is verified. */
import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { parseAllDocuments } from 'yaml';
import { waitUntil } from './process.ts';

export interface KubernetesCall {
  /** Default GET, or POST with a body. */
  method?: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Of the body. Default `application/json`; patches need their own. */
  contentType?: string;
  /** Default `application/json`; the table that kubectl prints is another. */
  accept?: string;
}

export interface KubernetesApi {
  /** Calls `path`; the answer is parsed when it is JSON. Rejects with `KubernetesApiError` unless it is 2xx. */
  request<Body = unknown>(path: string, call?: KubernetesCall): Promise<Body>;
}

/** The API server refused; `message` holds its words. */
export class KubernetesApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'KubernetesApiError';
    this.status = status;
  }
}

const CALL_LIMIT_MS = 15_000;
const ESTABLISHED_LIMIT_MS = 30_000;

/** The API at `url`, called with a bearer token. */
export function connect(url: string, ca: string, token: string): KubernetesApi {
  return {
    request: async <Body>(path: string, call: KubernetesCall = {}): Promise<Body> => {
      const { status, text, json } = await send(new URL(path, url), ca, token, call);
      if (status < 200 || status > 299) {
        throw new KubernetesApiError(status, `${call.method ?? 'GET'} ${path}: ${status} ${messageOf(text)}`);
      }
      return (json ? JSON.parse(text) : text) as Body;
    },
  };
}

interface Answer {
  status: number;
  text: string;
  json: boolean;
}

function send(url: URL, ca: string, token: string, call: KubernetesCall): Promise<Answer> {
  const { body, method = body === undefined ? 'GET' : 'POST', contentType = 'application/json' } = call;
  const { accept = 'application/json' } = call;
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, {
      ca,
      method,
      // No connection outlives its call, so that a stopped server is not waited for.
      agent: false,
      signal: AbortSignal.timeout(CALL_LIMIT_MS),
      headers: {
        authorization: `Bearer ${token}`,
        accept,
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
    });
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          text: Buffer.concat(chunks).toString(),
          json: (response.headers['content-type'] ?? '').startsWith('application/json'),
        }),
      );
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** The words of a `Status` object, or the text as it is. */
function messageOf(text: string): string {
  try {
    const status: unknown = JSON.parse(text);
    if (status !== null && typeof status === 'object' && 'message' in status) return String(status.message);
  } catch {
    // Not JSON: shown as it came.
  }
  return text.slice(0, 500);
}

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

interface Crd {
  metadata: { name: string };
  status?: { conditions?: { type: string; status: string }[] };
}

/**
 * Creates the definitions of these YAML files, made fit for 1.20, and waits until they are served. One that is
 * there already stays as it is. Returns their names.
 */
export async function installCrds(api: KubernetesApi, files: readonly string[]): Promise<string[]> {
  const names: string[] = [];
  for (const definition of files.flatMap(readDefinitions)) {
    names.push(definition.metadata.name);
    await api.request(CRDS, { body: definition }).catch((error: unknown) => {
      const conflict = 409;
      if (!(error instanceof KubernetesApiError) || error.status !== conflict) throw error;
    });
  }
  for (const name of names) {
    await waitUntil(`custom resource definition ${name}`, ESTABLISHED_LIMIT_MS, async () => {
      const { status } = await api.request<Crd>(`${CRDS}/${name}`);
      return status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') ?? false;
    });
  }
  return names;
}

/** As others publish them: for Go's reader, which takes more than YAML allows, and more than the product's own does. */
function readDefinitions(file: string): Crd[] {
  return parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document) => document.toJS() as (Crd & { kind?: string }) | null)
    .filter((document) => document !== null && document.kind === 'CustomResourceDefinition')
    .map((document) => withoutNewerKeys(document) as Crd);
}

/**
 * What 1.20 does not know or misreads: validation rules, selectable fields, and a default that is the empty
 * string (it reads null).
 */
export function withoutNewerKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNewerKeys);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'x-kubernetes-validations' && key !== 'selectableFields')
      .filter(([key, child]) => !(key === 'default' && child === ''))
      .map(([key, child]) => [key, withoutNewerKeys(child)]),
  );
}
