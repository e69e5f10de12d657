import type { Health, HealthCheck } from '../api/ports.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type OnCallSchedule, onCallScheduleKind } from '../catalog/kinds/on-call-schedule.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { messageOf } from '../errors.ts';
import type { Integration, IntegrationHealth } from '../integrations/contract.ts';

export interface HealthPorts {
  database: OpenDatabase;
  integrations: readonly Integration[];
  catalog: Pick<Catalog, 'problems' | 'all' | 'resources'>;
  clock: Clock;
  /** What limits are counted by: whoever asks waits by the machine's time, however fast `clock` runs. Default: the machine's. */
  machine?: Pick<Clock, 'sleep'>;
  /** Undefined where nobody can be paged at all. */
  paging: { reach(person: string): readonly string[]; publicUrl(): string | undefined } | undefined;
}

/** Kubernetes gives a probe 1 s by default; slower is not ready. */
const wholeLimitMs = 900;
/** A system that hangs must not make the answer late: what is known of the others is said in time. */
const systemLimitMs = 600;

type Answer = Awaited<ReturnType<Health['check']>>;

/**
 * What works and what does not. Only the database decides whether the product is ready: without it no alert can be taken.
 * A system that is away is what the product is there for; it must not take the product out of service.
 */
export function checkHealth(ports: HealthPorts): Promise<Answer> {
  return within(
    ports.machine,
    wholeLimitMs,
    (signal) => checkAll(ports, signal),
    (sentence) => ({ ready: false, checks: [{ name: 'readiness', healthy: false, sentence }] }),
  );
}

async function checkAll(ports: HealthPorts, signal: AbortSignal): Promise<Answer> {
  const { database, integrations, catalog, clock, machine, paging } = ports;
  const ready = await database.ping().then(
    () => ({ name: 'database', healthy: true, sentence: 'The database answers.' }),
    (error) => ({ name: 'database', healthy: false, sentence: messageOf(error) }),
  );
  const systems = integrations
    .filter((integration) => integration.configured)
    .map(async (integration) => ({
      name: integration.name,
      ...(await within<IntegrationHealth>(
        machine,
        systemLimitMs,
        (one) => integration.health({ clock, signal: AbortSignal.any([signal, one]) }),
        (sentence) => ({ healthy: false, sentence }),
      )),
    }));
  const errors = catalog.problems().filter((problem) => problem.severity === 'error').length;
  const documents = {
    name: 'catalog',
    healthy: errors === 0,
    sentence:
      errors === 0
        ? `${catalog.all().length} runbooks are loaded.`
        : `${errors} documents are wrong; their last good versions serve.`,
  };
  const people = paging ? [onCallCheck(catalog, paging.reach), linkCheck(paging.publicUrl())] : [];
  return { ready: ready.healthy, checks: [ready, documents, ...people, ...(await Promise.all(systems))] };
}

/** What is answered, or what to say of an answer that has not come in time or that failed. */
async function within<T>(
  machine: Pick<Clock, 'sleep'> = systemClock,
  limitMs: number,
  ask: (signal: AbortSignal) => Promise<T>,
  instead: (sentence: string) => T,
): Promise<T> {
  const over = new AbortController();
  const late = machine.sleep(limitMs, over.signal).then(() => {
    throw new Error(`It has not answered within ${limitMs} ms.`);
  });
  try {
    return await Promise.race([ask(over.signal), late]);
  } catch (error) {
    return instead(messageOf(error));
  } finally {
    over.abort(new Error('The answer was given.'));
  }
}

/** Whoever takes turns can be reached: found out in the office, not in the night. */
function onCallCheck(catalog: Pick<Catalog, 'resources'>, reach: (person: string) => readonly string[]): HealthCheck {
  const name = 'on-call';
  const schedules = catalog.resources<OnCallSchedule>(onCallScheduleKind);
  if (schedules.length === 0)
    return { name, healthy: true, sentence: 'No OnCallSchedule is declared; the default receiver is paged.' };
  const everybody = schedules.flatMap(({ spec }) => [
    ...spec.rotations.flatMap(({ people }) => people),
    ...(spec.overrides ?? []).map(({ person }) => person),
  ]);
  const people = [...new Set(everybody)].sort();
  const lost = people.filter((person) => reach(person).length === 0);
  if (lost.length === 0) return { name, healthy: true, sentence: `${people.length} people take turns.` };
  const sentence = `${lost.join(', ')} ${lost.length === 1 ? 'has' : 'have'} no receiver under integrations.notify; the default receiver is paged instead.`;
  return { name, healthy: false, sentence };
}

function linkCheck(publicUrl: string | undefined): HealthCheck {
  const name = 'page links';
  if (publicUrl !== undefined) return { name, healthy: true, sentence: `Pages link to ${publicUrl}.` };
  const sentence = 'Pages have no links, and nobody can acknowledge by one: publicUrl is not set.';
  return { name, healthy: false, sentence };
}
