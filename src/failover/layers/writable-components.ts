/**
 * Components for which there is nothing to promote, or nothing that may be promoted without a person: ClickHouse, Neo4j and
 * MinIO. What they are asked is whether they take writes here; until they do the plan waits, and says what somebody has to do.
 */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import { type ApiEffects, type ApiOptions, type ComponentApi, componentApi, objectsOf } from './http-component.ts';
import type { CheckResult } from './layer.ts';

/** What keeps it from being written, and what a person does about it; undefined when it can be. */
type Look = (context: CallContext, api: ComponentApi) => Promise<{ wrong: string; remedy: string } | undefined>;

/** At most so many names in a sentence. */
const named = 5;

/**
 * Whether pre-flight fails with it. Where writing hangs on the other region's members as well, it will fail with that
 * region, and must not keep people from taking over: then it is told, and the plan waits at its own step.
 */
type Blocks = 'blocks' | 'waits';

export const createClickHouse = (options: ApiOptions): ApiEffects =>
  writable(
    componentApi('ClickHouse', options, (user, key) => ({ 'x-clickhouse-user': user, 'x-clickhouse-key': key })),
    ['clickhouse-keeper', 'waits'],
    async (context, api) => {
      const body = 'SELECT database, table FROM system.replicas WHERE is_readonly OR is_session_expired FORMAT JSON';
      const rows = objectsOf(await api.json(context, { method: 'POST', path: '/', body, safe: true }), 'data');
      if (rows.length === 0) return undefined;
      const tables = rows.slice(0, named).map(({ database, table }) => `${String(database)}.${String(table)}`);
      return {
        wrong: `${rows.length} replicated tables take no writes (${tables.join(', ')}): their Keeper has no quorum`,
        remedy: 'Recover Keeper from the members of this region, then run SYSTEM RESTORE REPLICA for each table',
      };
    },
  );

export const createNeo4j = (options: ApiOptions): ApiEffects =>
  writable(componentApi('Neo4j', options), ['neo4j-writer', 'waits'], async (context, api) => {
    const statement = 'SHOW DATABASES YIELD name, type, currentStatus, writer';
    const answer = await api.json(context, {
      ...{ method: 'POST', path: '/db/system/query/v2', json: { statement }, safe: true },
    });
    const data = isObject(answer) ? answer.data : undefined;
    if (!isObject(data) || !Array.isArray(data.fields) || !Array.isArray(data.values))
      throw new CatalystError('UpstreamRefused', `${api.label} answers with something else than a result.`);
    const column = (name: string) => (data.fields as unknown[]).indexOf(name);
    const cell = (row: unknown[], name: string) => row[column(name)];
    // One row for each server that has a copy.
    const rows = data.values.filter((row): row is unknown[] => Array.isArray(row) && cell(row, 'type') === 'standard');
    const writes = (row: unknown[]) => cell(row, 'writer') === true && cell(row, 'currentStatus') === 'online';
    const names = [...new Set(rows.map((row) => String(cell(row, 'name'))))];
    const lost = names.filter((name) => !rows.some((row) => cell(row, 'name') === name && writes(row)));
    if (lost.length === 0) return undefined;
    return {
      wrong: `no server takes writes for ${lost.slice(0, named).join(', ')}`,
      remedy: `Recreate each from the copy of this region: CALL dbms.recreateDatabase('${lost[0]}', {seedingServers: [IDs of servers here]}), before Neo4j 2025.04 dbms.cluster.recreateDatabase`,
    };
  });

export const createMinio = (options: ApiOptions): ApiEffects =>
  writable(
    componentApi('MinIO', { ...options, secret: undefined }),
    ['minio-quorum', 'blocks'],
    async (context, api) => {
      const status = await api.status(context, '/minio/health/cluster', [503]);
      if (status === 200) return undefined;
      return {
        wrong: 'it has no write quorum',
        remedy:
          'Bring its drives or servers back; its buckets are active on both sides, and nothing else has to be done',
      };
    },
  );

function writable(api: ComponentApi, [check, blocks]: [string, Blocks], look: Look): ApiEffects {
  const { label } = api;
  const verify = async (context: CallContext) => {
    const found = await look(context, api);
    if (found) throw new CatalystError('InvalidState', `${label}: ${found.wrong}. ${found.remedy}; the plan waits.`);
    return { sentence: `${label} takes writes.` };
  };
  return {
    promote: async () => ({
      sentence: `${label}: there is nothing to promote; whether it takes writes is looked at next.`,
    }),
    verify,
    checks: async (context) => {
      const result = await look(context, api).then(
        (found): Omit<CheckResult, 'check'> =>
          found
            ? { verdict: blocks === 'blocks' ? 'failed' : 'passed', sentence: `${label}: ${found.wrong}.` }
            : { verdict: 'passed', sentence: `${label} takes writes.` },
        (error: unknown) => ({ verdict: 'unknown' as const, sentence: messageOf(error) }),
      );
      return [{ check, ...result }];
    },
    close: async () => api.close(),
  };
}
