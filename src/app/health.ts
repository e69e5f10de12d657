import type { HealthCheck } from '../api/ports.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Clock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { messageOf } from '../errors.ts';
import type { Integration } from '../integrations/contract.ts';

export interface HealthPorts {
  database: OpenDatabase;
  integrations: readonly Integration[];
  catalog: Pick<Catalog, 'problems' | 'all'>;
  clock: Clock;
}

/**
 * What works and what does not. Only the database decides whether the product is ready: without it no alert can be taken.
 * A system that is away is what the product is there for; it must not take the product out of service.
 */
export async function checkHealth(
  ports: HealthPorts,
  signal: AbortSignal,
): Promise<{ ready: boolean; checks: HealthCheck[] }> {
  const { database, integrations, catalog, clock } = ports;
  const ready = await database.ping().then(
    () => ({ name: 'database', healthy: true, sentence: 'The database answers.' }),
    (error) => ({ name: 'database', healthy: false, sentence: messageOf(error) }),
  );
  const systems = integrations
    .filter((integration) => integration.configured)
    .map(async (integration) => ({ name: integration.name, ...(await integration.health({ clock, signal })) }));
  const errors = catalog.problems().filter((problem) => problem.severity === 'error').length;
  const documents = {
    name: 'catalog',
    healthy: errors === 0,
    sentence:
      errors === 0
        ? `${catalog.all().length} runbooks are loaded.`
        : `${errors} documents are wrong; their last good versions serve.`,
  };
  return { ready: ready.healthy, checks: [ready, documents, ...(await Promise.all(systems))] };
}
