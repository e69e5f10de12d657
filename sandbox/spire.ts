/** The health listener of a SPIRE server (`health_checks` in its configuration). */
import { hangUp, type Listening, listen, sendJson, sendText } from './http.ts';
import type { World } from './world.ts';

/** Answers `/live` and `/ready`: 200 or 500, and the details each subsystem gives. */
export function startSpire(world: World, host: string, port: number): Promise<Listening> {
  return listen({
    host,
    port,
    handle: (call) => {
      const isUp = world.isRunning('spire', 'spire-server-0');
      // Without its pod there is nobody to answer.
      if (!isUp) return hangUp(call);
      const ready = world.isSpireReady();
      const failure = (ok: boolean, text: string) => (ok ? {} : { err: text });
      if (call.path === '/live') {
        const server = failure(world.spire.live, 'subsystem is not live');
        return sendJson(call, world.spire.live ? 200 : 500, { 'catalog.datastore': {}, server });
      }
      if (call.path === '/ready') {
        const server = failure(ready, 'subsystem is not live or ready');
        return sendJson(call, ready ? 200 : 500, { 'catalog.datastore': {}, server });
      }
      return sendText(call, 404, '404 page not found\n');
    },
    fail: (call, status, message) => sendText(call, status, `${message}\n`),
  });
}
