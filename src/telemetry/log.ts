/**
 * The log: JSON lines. ERROR wakes somebody, WARN is looked at the next day, INFO tells what the product did, DEBUG why.
 * A healthy server writes no ERROR at all.
 */
import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import { scrub } from './scrub.ts';

export type Log = Logger;

export const logLevels = ['error', 'warn', 'info', 'debug', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Fields whose values are secrets wherever they stand, at the top or one or two levels deep. */
const secretFields = [
  'authorization',
  'cookie',
  'token',
  'password',
  'secret',
  'apiKey',
  'clientSecret',
  'privateKey',
  'unsealKey',
  'unsealKeys',
  'idempotencyKey',
];

export interface LogOptions {
  level: LogLevel;
  /** Where lines go. Default: standard error, because standard output belongs to data. */
  stream?: DestinationStream;
  /** The ids of the trace this line belongs to. */
  traceIds?: () => { trace_id: string; span_id: string } | undefined;
}

export function createLog(options: LogOptions): Log {
  return pino(
    {
      level: options.level,
      // No process id, no host name: what runs the product adds those.
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
        censor: '[redacted]',
      },
      mixin: () => options.traceIds?.() ?? {},
      // Whatever the fields are called, a line is scrubbed as a whole before it leaves.
      hooks: { streamWrite: scrub },
    },
    // At once: the last lines before a crash are the ones that matter.
    options.stream ?? destination({ fd: 2, sync: true }),
  );
}
