/** Every way a request can fail, as a CatalystError whose `certain` is true only when nothing can have happened. */
import type { IncomingHttpHeaders } from 'node:http';
import { CatalystError, messageOf } from '../errors.ts';
import { BodyTooLarge, TransportError } from './http-transport.ts';

/** A request, as far as its errors speak of it. */
export interface Call {
  url: URL;
  method: string;
  safe: boolean;
  /** `GET /api/v1/query`: never the query, which may hold more than a message should. */
  label: string;
}

interface ErrorOptions {
  system: string;
  explain?: (body: unknown) => string | undefined;
  redact?: (text: string) => string;
}

/** Turns what can go wrong into CatalystErrors. */
export class ErrorMaker {
  readonly #options: ErrorOptions;

  constructor(options: ErrorOptions) {
    this.#options = options;
  }

  fromStatus(call: Call, status: number, headers: IncomingHttpHeaders, body: string): CatalystError {
    const { system } = this.#options;
    const said = this.#said(body);
    const details: Record<string, unknown> = {
      system,
      status,
      request: call.label,
      ...(said === undefined ? {} : { said }),
    };
    const sentence = `${system} answered ${call.label} with ${status}${said === undefined ? '' : `: ${said}`}`;
    if (status >= 300 && status < 400) {
      return new CatalystError(
        'UpstreamRefused',
        `${system} answered ${call.label} with a redirect, which is not followed`,
        {
          details,
          hint: 'Configure the address the system finally answers on.',
          certain: true,
        },
      );
    }
    if (status === 401 || status === 403) {
      return new CatalystError('UpstreamRefused', sentence, {
        details,
        hint: `Check the credentials configured for ${system} and what they may do.`,
        certain: true,
      });
    }
    if (status === 404 || status === 410) return new CatalystError('NotFound', sentence, { details, certain: true });
    if (status === 409 || status === 412) return new CatalystError('Conflict', sentence, { details, certain: true });
    if (status === 429 || status === 425) {
      const retryAfterMs = retryAfter(headers['retry-after']);
      if (retryAfterMs !== undefined) details.retryAfterMs = retryAfterMs;
      // Turned away at the door: nothing was done.
      return new CatalystError('UpstreamUnavailable', sentence, { details, certain: true });
    }
    if (status === 408 || status >= 500) {
      const retryAfterMs = retryAfter(headers['retry-after']);
      if (retryAfterMs !== undefined) details.retryAfterMs = retryAfterMs;
      return new CatalystError('UpstreamUnavailable', sentence, { details, certain: call.safe });
    }
    return new CatalystError('UpstreamRefused', sentence, { details, certain: true });
  }

  from(call: Call, error: unknown, limit: 'caller' | 'own' | undefined): CatalystError {
    if (error instanceof CatalystError) return error;
    const { system } = this.#options;
    const details = { system, request: call.label };
    const certain = call.safe || (error instanceof TransportError && !error.sent);
    if (limit !== undefined) {
      const whose = limit === 'caller' ? 'the limit of time given' : 'the limit of time for one request';
      return new CatalystError('TimedOut', `${system} did not answer ${call.label} within ${whose}`, {
        cause: error,
        details,
        certain,
      });
    }
    if (error instanceof BodyTooLarge) {
      return new CatalystError('UpstreamRefused', `${system}, ${call.label}: ${error.message}`, {
        cause: error,
        details,
        certain: call.safe,
      });
    }
    const sentence = `${system} could not be reached for ${call.label}: ${this.#redact(messageOf(error))}`;
    return new CatalystError('UpstreamUnavailable', sentence, {
      cause: error,
      details,
      certain,
      hint: `Check that ${system} runs and that the address configured for it is right.`,
    });
  }

  notJson(call: Call, cause: unknown): CatalystError {
    const { system } = this.#options;
    // The parser's own message quotes the body, which may hold a secret.
    return new CatalystError('UpstreamRefused', `${system} did not answer ${call.label} with JSON`, {
      cause: new Error(cause instanceof Error ? cause.name : 'SyntaxError'),
      details: { system, request: call.label },
      hint: `Check that the address configured for ${system} is its API and not a page in front of it.`,
      certain: call.safe,
    });
  }

  #said(body: string): string | undefined {
    let said: string | undefined;
    try {
      said = this.#options.explain?.(JSON.parse(body));
    } catch {
      // Not JSON: nothing the other system said on purpose.
    }
    // Long enough for a sentence, short enough for a log line.
    return said === undefined ? undefined : this.#redact(said.replaceAll(/\s+/g, ' ').slice(0, 300));
  }

  #redact(text: string): string {
    return this.#options.redact?.(text) ?? text;
  }
}

/** `Retry-After` in milliseconds where it is given in seconds; a date is left to the caller's own pace. */
function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^[0-9]{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}
