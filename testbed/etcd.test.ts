import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findEtcd, startEtcd } from './etcd.ts';
import { describeReal } from './real.ts';

describeReal('real etcd', findEtcd, () => {
  test('stores a key, and refuses a comparison that does not hold', async () => {
    const etcd = await startEtcd();
    try {
      const key = base64('holder');
      const createOnce = (value: string) =>
        post<{ succeeded?: boolean }>(`${etcd.url}/v3/kv/txn`, {
          compare: [{ key, target: 'CREATE', create_revision: '0' }],
          success: [{ request_put: { key, value: base64(value) } }],
        });
      assert.equal((await createOnce('first')).succeeded, true);
      assert.equal((await createOnce('second')).succeeded, undefined);
      const { kvs } = await post<{ kvs: { value: string }[] }>(`${etcd.url}/v3/kv/range`, { key });
      assert.equal(kvs[0]?.value, base64('first'));
    } finally {
      await etcd.stop();
    }
    await assert.rejects(fetch(etcd.url));
  });
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

async function post<Answer>(url: string, body: object): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(response.status, 200);
  return (await response.json()) as Answer;
}
