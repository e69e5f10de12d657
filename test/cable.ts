/** A TCP connection to a server with a hand on the cable: it can be held, so that no answer comes, and cut. */
import { connect, createServer, type Socket } from 'node:net';

export interface Cable {
  /** The server's URL through the cable. */
  url: string;
  /** From now on nothing comes back from the server. */
  hold(): void;
  /** Resolves when something was sent since `hold`. */
  sent(): Promise<void>;
  /** Breaks every connection and lets new ones through. */
  cut(): void;
  /** Breaks every connection, and each new one, until `cut`. */
  refuse(): void;
  close(): Promise<void>;
}

export async function layCable(to: string): Promise<Cable> {
  const target = new URL(to);
  const sockets = new Set<Socket>();
  let held = false;
  let refused = false;
  let something = Promise.withResolvers<void>();
  const server = createServer((near) => {
    if (refused) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(Number(target.port || 5432), target.hostname);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (data) => {
        if (from === near) something.resolve();
        if (from === near || !held) into.write(data);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        // Over a line that is held, nobody hears the other end hang up, either.
        if (from === near || !held) into.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = new URL(to);
  url.hostname = '127.0.0.1';
  url.port = String(typeof address === 'object' ? address?.port : '');
  const cut = () => {
    held = false;
    refused = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    hold: () => {
      held = true;
      something = Promise.withResolvers();
    },
    sent: () => something.promise,
    cut,
    refuse: () => {
      cut();
      refused = true;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
