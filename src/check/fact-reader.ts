/** Reads facts, each at most once, with a limit of time for each, and keeps what was seen. */
import { type Clock, noLongerWaited } from '../clock.ts';
import { CatalystError, messageOf } from '../errors.ts';
import type { FactDefinition, Json } from '../integrations/contract.ts';
import type { FactReader, FactReading } from './check.ts';

/** The call as it would be written: `openbao.status.sealed`, `prometheus.query("up")`. */
export function factCall(fact: FactDefinition, args: readonly Json[]): string {
  if (!fact.parameters) return fact.name;
  return `${fact.name}(${args.map((arg) => JSON.stringify(arg)).join(', ')})`;
}

export interface FactReaderOptions {
  clock: Clock;
  /** Ends every read under way: the caller's own limit, or shutdown. */
  signal: AbortSignal;
  /** Limit for one read, ms. Default 10 s: a system that needs longer to say how it is, is not well. */
  limit?: number;
  traceparent?: string;
}

/** A reader for one evaluation, or for several that must see the same world. */
export function createFactReader(options: FactReaderOptions): FactReader {
  const readings: FactReading[] = [];
  const reads = new Map<string, Promise<Json>>();
  const read = (fact: FactDefinition, args: readonly Json[]) => {
    const call = factCall(fact, args);
    let pending = reads.get(call);
    if (!pending) {
      pending = readOnce(fact, args, call, options, readings);
      reads.set(call, pending);
    }
    return pending;
  };
  return { read, readings };
}

async function readOnce(
  fact: FactDefinition,
  args: readonly Json[],
  call: string,
  { clock, signal, limit = 10_000, traceparent }: FactReaderOptions,
  readings: FactReading[],
): Promise<Json> {
  const at = clock.now();
  const started = clock.monotonic();
  // The place in the list is taken when the read begins, so that the order is that of asking.
  const reading: FactReading = { fact: call, at, took: 0 };
  readings.push(reading);
  const own = new AbortController();
  const abort = () => own.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    if (signal.aborted) throw stopped(call, signal);
    const context = { clock, signal: own.signal, ...(traceparent === undefined ? {} : { traceparent }) };
    const value = await Promise.race([
      fact.read(context, args),
      clock.sleep(limit, own.signal).then(
        () => {
          throw new CatalystError('TimedOut', `${call} was not answered within ${limit} ms.`, { certain: true });
        },
        () => {
          throw stopped(call, signal);
        },
      ),
    ]);
    reading.value = value;
    return value;
  } catch (error) {
    const wrapped =
      error instanceof CatalystError
        ? error
        : new CatalystError('UpstreamUnavailable', `${call} could not be read: ${messageOf(error)}`, { cause: error });
    reading.error = wrapped.message;
    throw wrapped;
  } finally {
    reading.took = Math.round(clock.monotonic() - started);
    signal.removeEventListener('abort', abort);
    // Ends the timer, and the request when it is still under way.
    own.abort(noLongerWaited);
  }
}

function stopped(call: string, signal: AbortSignal): CatalystError {
  return new CatalystError(
    'TimedOut',
    `${call} was not read: the evaluation was stopped (${messageOf(signal.reason)}).`,
    {
      certain: true,
    },
  );
}
