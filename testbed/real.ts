/** How tests ask for real servers: skipped by name where one is not installed, never skipped silently in CI. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type Kubernetes, startKubernetes } from './kubernetes.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import type { Availability, Running } from './process.ts';

/**
 * A `describe` that needs real servers. Where one of `finders` says it is not available, a test of this name is
 * reported as skipped with the reason; with `CI=true` it fails instead.
 */
export function describeReal(
  name: string,
  finders: (() => Availability) | readonly (() => Availability)[],
  body: () => void,
): void {
  for (const find of [finders].flat()) {
    const found = find();
    if (found.available) continue;
    skipOrFail(name, found.reason);
    return;
  }
  describe(name, body);
}

function skipOrFail(name: string, reason: string): void {
  if (process.env.CI === 'true') {
    test(name, () => assert.fail(`CI=true allows no skipped counterpart: ${reason}`));
  } else {
    test(name, { skip: reason }, () => {});
  }
}

/**
 * One server for all tests of this process: started by the first that asks, stopped after the last. Use it for
 * servers that are costly to start, and keep tests apart by namespaces or databases of their own.
 */
function shared<Server extends Running>(start: () => Promise<Server>): () => Promise<Server> {
  let running: Promise<Server> | undefined;
  after(async () => (await running?.catch(() => undefined))?.stop());
  return () => {
    running ??= start();
    return running;
  };
}

/** The process-wide Kubernetes with one node. */
export const sharedKubernetes: () => Promise<Kubernetes> = shared(() => startKubernetes());

/** The process-wide PostgreSQL; fsync off, since nobody may crash a server that others use. */
export const sharedPostgres: () => Promise<Postgres> = shared(() => startPostgres({ fsync: false }));
