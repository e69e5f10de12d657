/**
 * Conditional writes as Amazon S3 documents them, for want of a server: nothing in Debian or on npm implements them.
 * Published shape: docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and API_PutObject. Signatures are
 * checked by a second implementation of Signature Version 4, written from its documentation.
 */
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';

export interface S3Server {
  url: string;
  /** So many of the next writes are answered 409, as when another conditional write is under way. */
  busy(times: number): void;
  /** From now on conditions are ignored, as by stores that do not implement them. */
  ignoreConditions(): void;
  /** Writes an object over whatever is there, as somebody with the console would. */
  put(key: string, body: string): void;
  remove(key: string): void;
  stop(): Promise<void>;
}

interface StoredObject {
  body: string;
  etag: string;
  modified: Date;
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const objectOf = (body: string): StoredObject => ({
  body,
  etag: `"${createHash('md5').update(body).digest('hex')}"`,
  modified: new Date(),
});

/** @param bucket the one bucket there is */
export async function startS3(bucket: string, accessKeyId: string, secret: string): Promise<S3Server> {
  const objects = new Map<string, StoredObject>();
  let busy = 0;
  let conditional = true;

  const answer = (request: IncomingMessage, body: string): Answer => {
    const { pathname } = new URL(request.url ?? '/', 'http://s3');
    if (!isSigned(request, body, accessKeyId, secret)) return refused(403, 'SignatureDoesNotMatch');
    const [, inBucket, key = ''] = /^\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
    if (inBucket !== bucket) return refused(404, 'NoSuchBucket');
    const object = objects.get(key);
    if (request.method === 'GET') {
      if (object === undefined) return refused(404, 'NoSuchKey');
      const { etag, modified } = object;
      return { status: 200, headers: { etag, 'last-modified': modified.toUTCString() }, body: object.body };
    }
    if (busy > 0) {
      busy--;
      return refused(409, 'ConditionalRequestConflict');
    }
    const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
    if (conditional) {
      if (ifNoneMatch !== undefined && ifNoneMatch !== '*') return refused(501, 'NotImplemented');
      if (ifNoneMatch === '*' && object !== undefined) return refused(412, 'PreconditionFailed');
      if (ifMatch !== undefined && object === undefined) return refused(404, 'NoSuchKey');
      if (ifMatch !== undefined && ifMatch !== object?.etag) return refused(412, 'PreconditionFailed');
    }
    const stored = objectOf(body);
    objects.set(key, stored);
    return { status: 200, headers: { etag: stored.etag }, body: '' };
  };

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { status, headers, body } = answer(request, Buffer.concat(chunks).toString('utf8'));
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    busy: (times) => {
      busy = times;
    },
    ignoreConditions: () => {
      conditional = false;
    },
    put: (key, body) => objects.set(key, objectOf(body)),
    remove: (key) => objects.delete(key),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refused(status: number, code: string): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code></Error>`;
  return { status, headers: { 'content-type': 'application/xml' }, body };
}

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function isSigned(request: IncomingMessage, body: string, accessKeyId: string, secret: string): boolean {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
  const match = pattern.exec(request.headers.authorization ?? '');
  if (!match) return false;
  const [, id, day = '', region = '', names = '', signature] = match;
  const { headers } = request;
  const contentHash = String(headers['x-amz-content-sha256']);
  if (id !== accessKeyId || (contentHash !== 'UNSIGNED-PAYLOAD' && contentHash !== sha256(body))) return false;
  // Conditions that are not signed could be taken out on the way.
  for (const name of ['if-match', 'if-none-match'])
    if (headers[name] !== undefined && !names.split(';').includes(name)) return false;
  const time = String(headers['x-amz-date']);
  if (
    Math.abs(Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')) - Date.now()) >
    900_000
  )
    return false;
  const canonical = [
    request.method,
    request.url,
    '',
    ...names.split(';').map((name) => `${name}:${String(headers[name]).trim()}`),
    '',
    names,
    contentHash,
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${secret}`, day), region));
  return hmac(key, toSign).toString('hex') === signature;
}
