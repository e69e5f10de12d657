/** The errors of the Kubernetes API, worded and shaped as its clients expect them (`Status`, meta/v1). */
import type { ResourceType } from './resources.ts';

export interface StatusCause {
  reason: string;
  message: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

/** An answer that is not a success: `code` is the HTTP status, `reason` the machine-readable word. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** The body of the answer. */
  toStatus(): Record<string, unknown> {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }
}

/** `deployments.apps`, or `pods` in the group without a name. */
export function qualified(type: Pick<ResourceType, 'group' | 'plural'>): string {
  return type.group === '' ? type.plural : `${type.plural}.${type.group}`;
}

function details(type: ResourceType, name: string, extra: StatusDetails = {}): StatusDetails {
  return { name, ...(type.group === '' ? {} : { group: type.group }), kind: type.plural, ...extra };
}

export const unauthorized = () => new ApiError(401, 'Unauthorized', 'Unauthorized');

export function forbidden(user: string, verb: string, type: ResourceType, namespace: string | undefined, name = '') {
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const what = `User "${user}" cannot ${verb} resource "${type.plural}" in API group "${type.group}" ${where}`;
  return new ApiError(
    403,
    'Forbidden',
    `${qualified(type)}${name === '' ? '' : ` "${name}"`} is forbidden: ${what}`,
    details(type, name),
  );
}

export function notFound(type: ResourceType, name: string) {
  return new ApiError(404, 'NotFound', `${qualified(type)} "${name}" not found`, details(type, name));
}

/** What the API server says of a path it does not serve. */
export const noSuchPath = () => new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const methodNotAllowed = () =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});

export function alreadyExists(type: ResourceType, name: string) {
  return new ApiError(409, 'AlreadyExists', `${qualified(type)} "${name}" already exists`, details(type, name));
}

export function conflict(type: ResourceType, name: string, why: string) {
  return new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(type)} "${name}": ${why}`,
    details(type, name),
  );
}

export const modified = (type: ResourceType, name: string) =>
  conflict(type, name, 'the object has been modified; please apply your changes to the latest version and try again');

export function invalid(kind: string, group: string, name: string, causes: (StatusCause & { field: string })[]) {
  const texts = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const list = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  return new ApiError(422, 'Invalid', `${kind}${group === '' ? '' : `.${group}`} "${name}" is invalid: ${list}`, {
    name,
    ...(group === '' ? {} : { group }),
    kind,
    causes,
  });
}

export const badRequest = (message: string) => new ApiError(400, 'BadRequest', message);

export const expired = (message: string) => new ApiError(410, 'Expired', message);

export const unsupportedMediaType = (contentType: string, accepted: string[]) =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}` +
      (contentType === '' ? '' : ` (got ${contentType})`),
  );
