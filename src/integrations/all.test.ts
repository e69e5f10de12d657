import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TSchema } from 'typebox';
import { contextFor } from '../../test/integrations/support.ts';
import { systemClock } from '../clock.ts';
import { createIntegrations, IntegrationsConfig } from './all.ts';
import type { ActionDefinition, ActionInput, FactDefinition, Json } from './contract.ts';
import { createSecrets } from './secrets.ts';
import { hasShape } from './shape.ts';

const ports = { secrets: createSecrets({}), clock: systemClock };
const { all } = createIntegrations({}, ports);
const facts: FactDefinition[] = all.flatMap((integration) => integration.facts);
const actions: ActionDefinition[] = all.flatMap((integration) => integration.actions);

/** Objectives live in Prometheus and have no configuration of their own. */
const keyOf = ({ name }: { name: string }) => (name === 'slo' ? 'prometheus' : name);

/** Something the schema of a property accepts: its first example, or the simplest value of its type. */
function sample(
  schema: TSchema & { examples?: unknown[]; anyOf?: TSchema[]; type?: string; const?: unknown },
): unknown {
  if (schema.examples?.[0] !== undefined) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.anyOf?.[0]) return sample(schema.anyOf[0]);
  return schema.type === 'object'
    ? { alertname: 'x' }
    : schema.type === 'boolean'
      ? true
      : schema.type === 'integer'
        ? 1
        : 'x';
}

function inputOf({ input }: ActionDefinition): ActionInput {
  const required = input.required ?? [];
  return Object.fromEntries(required.map((name) => [name, sample(input.properties[name] as TSchema) as Json]));
}

describe('all integrations', () => {
  it('have names of their own, rooted at the system', () => {
    for (const integration of all) {
      for (const { name } of integration.facts) assert.ok(name.startsWith(`${integration.name}.`), name);
      for (const { name } of integration.actions) assert.ok(name.startsWith(`${integration.name} `), name);
    }
    const names = [...facts, ...actions].map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  });

  it('have the names the handbook uses', () => {
    for (const name of ['spire.server.healthy', 'openbao.unseal.shamir.shares.available', 'openbao.status.sealed']) {
      const fact = facts.find((one) => one.name === name);
      assert.deepEqual([fact?.returns, fact?.parameters], ['bool', undefined], name);
    }
    const unseal = actions.find(({ name }) => name === 'openbao operator unseal');
    assert.ok(unseal);
    assert.equal((unseal.input.properties.autoShamir as { type?: string }).type, 'boolean');
  });

  it('describe everything, with inputs that are closed and positions that exist', () => {
    for (const action of actions) {
      assert.equal((action.input as { additionalProperties?: boolean }).additionalProperties, false, action.name);
      for (const [name, property] of Object.entries(action.input.properties)) {
        assert.ok((property as { description?: string }).description, `${action.name}: ${name}`);
      }
      for (const name of action.positional ?? []) assert.ok(name in action.input.properties, `${action.name}: ${name}`);
      assert.ok(action.example.startsWith(action.name), action.name);
      assert.ok(action.effects.length > 0 && action.description.endsWith('.'), action.name);
    }
    for (const fact of facts) {
      assert.ok(fact.description.length > 10, fact.name);
      assert.ok(
        (fact.parameters ?? []).every(({ description }) => description !== ''),
        fact.name,
      );
    }
  });

  it('give examples of the type they say', () => {
    const types: Record<string, (value: Json) => boolean> = {
      bool: (value) => typeof value === 'boolean',
      int: (value) => Number.isInteger(value),
      double: (value) => typeof value === 'number',
      string: (value) => typeof value === 'string',
      'map<string, dyn>': (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
      'list<dyn>': (value) => Array.isArray(value),
      dyn: () => true,
    };
    for (const fact of facts) assert.ok(types[fact.returns]?.(fact.example), fact.name);
  });

  it('answer NotConfigured with the key that is missing, for every fact and action', async () => {
    for (const integration of all) {
      assert.equal(integration.configured, false);
      const wanted = { code: 'NotConfigured', hint: new RegExp(`integrations\\.${keyOf(integration)}`) };
      for (const fact of integration.facts) {
        const args = (fact.parameters ?? []).map(({ type }) => (type === 'double' ? 1 : 'x'));
        await assert.rejects(fact.read(contextFor(), args), wanted, fact.name);
      }
      for (const action of integration.actions) {
        const input = inputOf(action);
        assert.ok(hasShape(action.input, input), `${action.name}: ${JSON.stringify(input)}`);
        const calls = (async () => {
          const before = await action.capture(contextFor(), input);
          await action.execute(contextFor(), input, before);
        })();
        await assert.rejects(calls, wanted, action.name);
      }
      const health = await integration.health(contextFor());
      assert.equal(health.healthy, false);
      assert.match(health.sentence, new RegExp(`integrations\\.${keyOf(integration)}`));
      await integration.stop?.();
    }
  });

  it('are configured by one document, whose every field is described', () => {
    const walk = (schema: { [key: string]: unknown }, path: string): void => {
      for (const [name, property] of Object.entries(
        (schema.properties ?? {}) as Record<string, { [key: string]: unknown }>,
      )) {
        const own = `${path}.${name}`;
        assert.ok(property.description, own);
        walk(property, own);
      }
      for (const one of (schema.anyOf ?? []) as { [key: string]: unknown }[]) walk(one, path);
      for (const one of Object.values((schema.patternProperties ?? {}) as Record<string, { [key: string]: unknown }>))
        walk(one, path);
      if (schema.items !== undefined) walk(schema.items as { [key: string]: unknown }, path);
    };
    walk(IntegrationsConfig as unknown as { [key: string]: unknown }, 'integrations');
    const config = {
      kubernetes: { server: 'https://k8s.example', tokenFile: '/token' },
      prometheus: { url: 'http://prometheus.example', orgId: 'acme' },
      openbao: { template: 'https://bao-{ordinal}.example', sharesDirectory: '/shares' },
      notify: { receivers: { oncall: { webhook: { url: 'https://hook.example' } } } },
    };
    assert.ok(hasShape(IntegrationsConfig, config));
    assert.ok(
      !hasShape(IntegrationsConfig, { prometheus: { url: 'http://p', token: 'a secret in the configuration' } }),
    );
    const made = createIntegrations(config, ports);
    const configured = made.all.filter((integration) => integration.configured).map(({ name }) => name);
    assert.deepEqual(configured, ['kubernetes', 'prometheus', 'openbao', 'notify', 'slo']);
    assert.deepEqual(made.notify.pager?.receivers, ['oncall']);
  });
});
