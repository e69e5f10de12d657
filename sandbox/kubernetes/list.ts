/** Lists, whole or in pages. */
import type { KubeObject } from './object.ts';
import { apiVersionOf, type ResourceType } from './resources.ts';
import { selection } from './selectors.ts';
import { badRequest, expired } from './status.ts';
import type { Store } from './store.ts';

interface Position {
  version: number;
  /** namespace/name of the last object of the page before. */
  after: string;
}

function decode(token: string): Position {
  try {
    const position = JSON.parse(Buffer.from(token, 'base64url').toString()) as Position;
    if (Number.isInteger(position.version) && typeof position.after === 'string') return position;
  } catch {
    // Falls through to the one error every broken token gets.
  }
  throw badRequest('continue key is not valid: not a token of this server');
}

const encode = (position: Position) => Buffer.from(JSON.stringify(position)).toString('base64url');
const idOf = (object: KubeObject) => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;

/** The body of a list; the pages of one list all show the objects as they were at the first page. */
export function listBody(store: Store, type: ResourceType, namespace: string | undefined, query: URLSearchParams) {
  const selected = selection(type, query.get('labelSelector'), query.get('fieldSelector'));
  const limit = Number(query.get('limit') ?? 0);
  if (!Number.isInteger(limit) || limit < 0)
    throw badRequest(`limit must be a whole number, not ${query.get('limit')}`);
  const token = query.get('continue');
  const position = token ? decode(token) : { version: store.version, after: '' };
  const objects = store.listAt(type, namespace, position.version);
  if (!objects) {
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
        'without the continue parameter.',
    );
  }
  const rest = objects.filter((object) => idOf(object) > position.after && selected(object));
  const page = limit === 0 ? rest : rest.slice(0, limit);
  const last = page.at(-1);
  const hasMore = last !== undefined && page.length < rest.length;
  return {
    kind: `${type.kind}List`,
    apiVersion: apiVersionOf(type),
    metadata: {
      resourceVersion: String(position.version),
      ...(hasMore ? { continue: encode({ version: position.version, after: idOf(last) }) } : {}),
      ...(hasMore ? { remainingItemCount: rest.length - page.length } : {}),
    },
    // Items of a typed list say neither kind nor version, those of custom resources do.
    items: type.definition === undefined ? page.map(({ apiVersion: _, kind: __, ...item }) => item) : page,
  };
}
