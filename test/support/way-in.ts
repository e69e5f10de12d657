/**
 * A way from this process into a network that has no cable to it: TCP here, a Unix socket on disk, which belongs to no
 * network, and TCP there. Run as a program, this file is the end over there.
 */
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startServer, temporaryDirectory, waitUntil } from '../../testbed/process.ts';

export interface WayIn {
  url: string;
  close(): Promise<void>;
}

/** @param enter what the command line of a program begins with that runs there; @param port on the loopback over there */
export async function openWayIn(enter: readonly string[], port: number): Promise<WayIn> {
  const folder = temporaryDirectory('way-in');
  const path = join(folder.path, 'socket');
  const self = fileURLToPath(import.meta.url);
  const there = startServer({ name: 'way in', enter, program: process.execPath, args: [self, path, String(port)] });
  await waitUntil('the way in', 60_000, () => /open/.test(there.logs()), [there]);
  const { server, close } = relay(() => connect(path));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      await close();
      await there.stop();
      folder.remove();
    },
  };
}

function relay(open: () => Socket): { server: NetServer; close(): Promise<void> } {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = open();
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        into.destroy();
      });
      from.pipe(into);
    }
  });
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { server, close };
}

if (import.meta.main) {
  const [path, port] = process.argv.slice(2);
  relay(() => connect(Number(port), '127.0.0.1')).server.listen(path, () => console.log('open'));
}
