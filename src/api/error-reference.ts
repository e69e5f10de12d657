/** What each error code means and what to do about it, for docs/reference/errors.md. A code without an entry does not compile. */
import type { ErrorCode } from '../errors.ts';

export const errorReference: Record<ErrorCode, { meaning: string; remedy: string }> = {
  BadRequest: {
    meaning: 'The request, a flag or a parameter is wrong.',
    remedy: 'The detail names what is wrong; /openapi.json tells what is taken.',
  },
  InvalidBody: {
    meaning: 'The body is not JSON, or not what this path takes.',
    remedy: 'Send one JSON object with Content-Type: application/json.',
  },
  Unauthenticated: {
    meaning: 'The bearer token is missing or not known.',
    remedy:
      'Send a token of the configuration. Alertmanager does not repeat a delivery refused so: watch deliveries_total.',
  },
  Forbidden: {
    meaning: 'The token is known, and its role or Organization may not do this.',
    remedy: 'See docs/reference/access.md for which roles may.',
  },
  NotFound: {
    meaning: 'There is no such thing, or it belongs to another Organization.',
    remedy: 'List what there is; check the Organization of the token.',
  },
  Conflict: {
    meaning: 'Something else holds what is needed, or it changed in between.',
    remedy: 'Look at it again and decide anew.',
  },
  InvalidState: {
    meaning: 'The thing asked for is in a state that does not allow it, such as approving a run that has ended.',
    remedy: 'Look at its state first.',
  },
  IdempotencyKeyReused: {
    meaning: 'The Idempotency-Key was used before with another request.',
    remedy: 'Use a new key for each command, and the same one only to repeat that command.',
  },
  InvalidResource: {
    meaning: 'A declared document, such as a runbook or the configuration, is wrong.',
    remedy: 'The problems name file, line and column; runbook lint and config check find them before.',
  },
  TooLarge: {
    meaning: 'The body is larger than this path takes.',
    remedy: 'For alerts set max_alerts in the Alertmanager receiver, or raise limits.deliveryBytes.',
  },
  TooManyRequests: {
    meaning: 'One caller asked too often within a minute; deliveries of alerts are never refused so.',
    remedy: 'Wait as long as Retry-After says; follow the event stream instead of asking again and again.',
  },
  RefusedByGuard: {
    meaning: 'A guard said no; details.reason says which and why.',
    remedy: 'Wait until the reason no longer holds, or act by hand knowing it.',
  },
  Internal: {
    meaning: 'Something went wrong that nobody foresaw.',
    remedy: 'Look for the request id in the log, and report it.',
  },
  Unavailable: {
    meaning: 'The server starts, stops, is overloaded, or its database is away.',
    remedy: 'Try again; Alertmanager does so by itself.',
  },
  NotConfigured: {
    meaning: 'What was asked for needs an integration or a setting that nobody configured.',
    remedy: 'Configure it; docs/reference/configuration.md tells how.',
  },
  UpstreamRefused: {
    meaning: 'The other system answered with an error that trying again will not mend.',
    remedy: 'The detail says what it answered; check credentials and permissions there.',
  },
  UpstreamUnavailable: {
    meaning: 'The other system could not be reached, or answered 429 or 5xx.',
    remedy: 'Try again; check the network and that system.',
  },
  TimedOut: {
    meaning: 'A limit of time ran out; whether the effect took place may be unknown.',
    remedy: 'Look before acting again: a run asks the system what became of it.',
  },
};
