import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Ajv, type AnySchema } from 'ajv';
import addFormats from 'ajv-formats';
import { load } from 'js-yaml';
import { VirtualClock } from '../../src/clock.ts';
import type { Listening } from '../http.ts';
import { paceFor } from '../pace.ts';
import { Alertmanager } from './alertmanager.ts';
import { startAlertmanager } from './server.ts';

/** The OpenAPI document that the Alertmanager project publishes; not part of this repository. */
const SPEC = resolve(
  process.env.CATALYST_SPECS ?? join(import.meta.dirname, '../../../shared/specs'),
  'alertmanager-api-v2.openapi.yaml',
);

describe('the Alertmanager API', () => {
  const clock = new VirtualClock();
  const manager = new Alertmanager(clock, paceFor());
  let server: Listening;

  before(async () => {
    server = await startAlertmanager({ alertmanager: manager, clock, host: '127.0.0.1', port: 0 });
    manager.externalUrl = server.url;
  });
  after(() => server.close());

  const call = async (path: string, method = 'GET', body?: unknown) => {
    const response = await fetch(`${server.url}/api/v2${path}`, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  const at = (seconds: number) => new Date(clock.now() + seconds * 1_000).toISOString();
  const matcher = (name: string, value: string, more = {}) => ({ name, value, isRegex: false, isEqual: true, ...more });
  const silence = (more: Record<string, unknown> = {}) => ({
    matchers: [matcher('alertname', 'Quiet')],
    startsAt: at(0),
    endsAt: at(3_600),
    createdBy: 'test',
    comment: 'maintenance',
    ...more,
  });
  const alert = (alertname: string, labels = {}) => ({ labels: { alertname, namespace: 'x', ...labels } });

  it('takes alerts and lists them with their state', async () => {
    const posted = await call('/alerts', 'POST', [
      {
        ...alert('Loud', { severity: 'warning' }),
        annotations: { summary: 's' },
        generatorURL: 'http://prometheus/graph',
      },
      alert('Quiet'),
    ]);
    assert.deepEqual(posted, { status: 200, body: undefined });
    const { body } = await call('/alerts?filter=alertname%3D%22Loud%22');
    assert.equal(body.length, 1);
    assert.match(body[0].fingerprint, /^[0-9a-f]{16}$/);
    assert.deepEqual(body[0].status, { state: 'active', silencedBy: [], inhibitedBy: [], mutedBy: [] });
    assert.deepEqual(body[0].receivers, [{ name: 'catalyst-sre' }]);
    assert.equal(Date.parse(body[0].endsAt) - clock.now(), 300_000, 'without an end it lapses after five minutes');
    assert.deepEqual((await call('/alerts?receiver=other')).body, []);
  });

  it('suppresses what a silence covers, until the silence ends', async () => {
    const { status, body } = await call('/silences', 'POST', silence());
    assert.equal(status, 200);
    const id = body.silenceID;
    const [quiet] = (await call('/alerts?filter=alertname=Quiet')).body;
    assert.deepEqual([quiet.status.state, quiet.status.silencedBy], ['suppressed', [id]]);
    assert.deepEqual((await call('/alerts?filter=alertname=Quiet&silenced=false')).body, []);
    assert.equal((await call('/alerts?active=false')).body.length, 1);
    const got = await call(`/silence/${id}`);
    assert.deepEqual([got.body.status.state, got.body.comment, got.body.annotations], ['active', 'maintenance', {}]);
    const longer = await call('/silences', 'POST', silence({ id, endsAt: at(7_200) }));
    assert.equal(longer.body.silenceID, id, 'changed in place');
    const other = await call('/silences', 'POST', silence({ id, matchers: [matcher('alertname', 'Other')] }));
    assert.notEqual(other.body.silenceID, id, 'other matchers make another silence');
    assert.equal((await call(`/silence/${id}`)).body.status.state, 'expired');
    assert.equal((await call(`/silence/${other.body.silenceID}`, 'DELETE')).status, 200);
    assert.equal((await call('/alerts?filter=alertname=Quiet')).body[0].status.state, 'active');
    assert.equal((await call('/silences?active=true&expired=false')).body.length, 0);
  });

  it('inhibits a warning while its critical twin fires', async () => {
    await call('/alerts', 'POST', [alert('Twin', { severity: 'warning' }), alert('Twin', { severity: 'critical' })]);
    const [twin] = (await call('/alerts?filter=alertname=Twin&filter=severity=warning')).body;
    assert.deepEqual([twin.status.state, twin.status.inhibitedBy.length], ['suppressed', 1]);
    assert.equal((await call('/alerts?filter=alertname=Twin&inhibited=false')).body.length, 1);
  });

  it('refuses as the real one does', async () => {
    const unknown = '00000000-0000-4000-8000-000000000000';
    const cases: [path: string, method: string, body: unknown, status: number, message: RegExp][] = [
      ['/alerts', 'POST', [{ annotations: {} }], 422, /^0\.labels in body is required$/],
      ['/alerts', 'POST', [{ labels: {} }], 400, /at least one label pair required/],
      [
        '/alerts',
        'POST',
        [{ labels: { a: 'b' }, startsAt: 'soon' }],
        400,
        /^parsing alerts body from "" failed, because parsing time/,
      ],
      ['/alerts?filter=what', 'GET', undefined, 400, /^bad matcher format: what$/],
      ['/alerts?receiver=(', 'GET', undefined, 400, /^failed to parse receiver param/],
      ['/silences', 'POST', silence({ comment: undefined }), 422, /^comment in body is required$/],
      ['/silences', 'POST', silence({ matchers: [] }), 422, /should have at least 1 items/],
      ['/silences', 'POST', silence({ endsAt: at(-60), startsAt: at(-120) }), 400, /end time can't be in the past/],
      ['/silences', 'POST', silence({ startsAt: at(7_200) }), 400, /start time must be before end time/],
      ['/silences', 'POST', silence({ matchers: [matcher('a', '')] }), 400, /must not match the empty string/],
      ['/silences', 'POST', silence({ id: unknown }), 404, /silence not found/],
      ['/silence/not-a-uuid', 'GET', undefined, 422, /must be of type uuid/],
      ['/nothing', 'GET', undefined, 404, /was not found/],
    ];
    for (const [path, method, body, status, message] of cases) {
      const refused = await call(path, method, body);
      assert.equal(refused.status, status, `${method} ${path}: ${JSON.stringify(refused.body)}`);
      assert.match(typeof refused.body === 'string' ? refused.body : refused.body.message, message);
    }
    assert.deepEqual(await call(`/silence/${unknown}`), { status: 404, body: undefined });
    assert.deepEqual(await call(`/silence/${unknown}`, 'DELETE'), { status: 404, body: undefined });
    assert.equal((await call('/status', 'DELETE')).status, 405);
  });

  it('never shows the webhook it was given', async () => {
    manager.webhook = { url: 'http://127.0.0.1:9/secret-path', token: 'secret-token' };
    assert.doesNotMatch(JSON.stringify((await call('/status')).body), /secret-path|secret-token/);
    manager.webhook = undefined;
  });

  it('answers in the shapes of the published API description', {
    skip: existsSync(SPEC) ? false : `no file ${SPEC}; CATALYST_SPECS names another folder`,
  }, async () => {
    const spec = load(readFileSync(SPEC, 'utf8')) as AnySchema;
    const ajv = new Ajv({ strict: false, allErrors: true });
    addFormats.default(ajv);
    ajv.addSchema(spec, 'spec');
    await call('/silences', 'POST', silence());
    const id = (await call('/silences')).body[0].id;
    for (const [path, operation] of [
      ['/status', '/status'],
      ['/receivers', '/receivers'],
      ['/alerts', '/alerts'],
      ['/alerts/groups', '/alerts/groups'],
      ['/silences', '/silences'],
      [`/silence/${id}`, '/silence/{silenceID}'],
    ] as const) {
      const pointer = operation.replaceAll('~', '~0').replaceAll('/', '~1').replace('{', '%7B').replace('}', '%7D');
      const validate = ajv.getSchema(`spec#/paths/${pointer}/get/responses/200/schema`);
      assert.ok(validate, `no schema for ${operation}`);
      const { status, body } = await call(path);
      assert.equal(status, 200);
      if (Array.isArray(body)) assert.ok(body.length > 0, `${path} has something to look at`);
      assert.ok(validate(body), `${path}: ${ajv.errorsText(validate.errors)}`);
    }
  });
});
