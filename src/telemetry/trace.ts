/**
 * Traces: one from the webhook to the verification, however many processes and hours lie between. What crosses a row of
 * the database crosses it as a W3C `traceparent`.
 *
 * Nothing here is global: the tracing is made once and passed to who needs it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { messageOf } from '../errors.ts';
import { scrub } from './scrub.ts';

export interface SpanOptions {
  /** W3C trace context to continue; the surrounding span where there is none. One that cannot be read is left out. */
  parent?: string | undefined;
  kind?: 'internal' | 'server' | 'client';
  attributes?: Attributes;
}

export interface PastSpan {
  /** W3C trace context to continue. One that cannot be read begins a trace. */
  parent?: string | undefined;
  /** ms since the epoch. */
  startedAt: number;
  endedAt: number;
  attributes: Attributes;
  /** What went wrong, when something did. */
  error?: string | undefined;
}

export interface OpenSpan {
  traceparent: string;
  set(attributes: Attributes): void;
}

export interface Tracing {
  /** Runs `work` in a span of this name (low cardinality: `step.execute`). What it throws is marked and thrown on. */
  inSpan<T>(name: string, options: SpanOptions, work: (span: OpenSpan) => Promise<T>): Promise<T>;
  /** A span that is over, told afterwards: what lasted longer than a process, or was known only at its end. */
  record(name: string, span: PastSpan): void;
  /** W3C trace context of the surrounding span, to store or to pass on. */
  traceparent(): string | undefined;
  /** Ids for log lines. */
  ids(): { trace_id: string; span_id: string } | undefined;
  /** Sends what is left, at most for a few seconds. */
  stop(): Promise<void>;
}

export interface TracingOptions {
  version: string;
  /** `http://collector:4318/v1/traces`. Without one nothing is sent, and ids are still there for logs and records. */
  otlpUrl?: string | undefined;
  otlpHeaders?: Record<string, string>;
  /** Share of new traces that is sent, 0 to 1. Default 1: incidents are few. */
  ratio?: number;
  /** For tests. */
  processors?: SpanProcessor[];
}

/** How long stopping waits for a collector that does not answer. */
const flushLimitMs = 3_000;

const kinds = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, client: SpanKind.CLIENT };

export async function createTracing(options: TracingOptions): Promise<Tracing> {
  const processors = [...(options.processors ?? [])];
  if (options.otlpUrl !== undefined) processors.push(await otlpProcessor(options.otlpUrl, options.otlpHeaders));
  const root =
    processors.length === 0
      ? new AlwaysOffSampler() // Nobody is told: of a span there are its ids alone, for logs and records.
      : options.ratio === undefined
        ? new AlwaysOnSampler()
        : new TraceIdRatioBasedSampler(options.ratio);
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'catalyst-sre', 'service.version': options.version }),
    sampler: new ParentBasedSampler({ root }),
    spanProcessors: processors,
  });
  const tracer = provider.getTracer('catalyst-sre', options.version);
  const storage = new AsyncLocalStorage<Context>();
  const current = () => trace.getSpanContext(storage.getStore() ?? ROOT_CONTEXT);

  return {
    async inSpan(name, { parent, kind = 'internal', attributes = {} }, work) {
      const remote = parent === undefined ? undefined : parseTraceparent(parent);
      const outer = remote ? trace.setSpanContext(ROOT_CONTEXT, remote) : (storage.getStore() ?? ROOT_CONTEXT);
      const span = tracer.startSpan(name, { kind: kinds[kind], attributes }, outer);
      const open: OpenSpan = {
        traceparent: formatTraceparent(span.spanContext()),
        set: (more) => {
          span.setAttributes(more);
        },
      };
      try {
        return await storage.run(trace.setSpan(outer, span), () => work(open));
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: scrub(messageOf(error)) });
        throw error;
      } finally {
        span.end();
      }
    },
    record: (name, { parent, startedAt, endedAt, attributes, error }) => {
      const remote = parent === undefined ? undefined : parseTraceparent(parent);
      const outer = remote ? trace.setSpanContext(ROOT_CONTEXT, remote) : ROOT_CONTEXT;
      const span = tracer.startSpan(name, { startTime: startedAt, attributes }, outer);
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: scrub(error) });
      // A clock that was set back must not make a span end before it began.
      span.end(Math.max(startedAt, endedAt));
    },
    traceparent: () => {
      const context = current();
      return context && formatTraceparent(context);
    },
    ids: () => {
      const context = current();
      return context && { trace_id: context.traceId, span_id: context.spanId };
    },
    stop: async () => {
      await provider.forceFlush({ timeoutMillis: flushLimitMs }).catch(() => {});
      await provider.shutdown().catch(() => {});
    },
  };
}

async function otlpProcessor(url: string, headers: Record<string, string> = {}): Promise<SpanProcessor> {
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  return new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url, headers, timeoutMillis: flushLimitMs }) });
}

/** W3C Trace Context, level 1, §3.2; undefined for anything that does not follow it. */
export function parseTraceparent(text: string): SpanContext | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text.trim());
  const [, version, traceId = '', spanId = '', flags = ''] = match ?? [];
  if (!match || version === 'ff' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

export function formatTraceparent(context: SpanContext): string {
  return `00-${context.traceId}-${context.spanId}-${(context.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, '0')}`;
}
