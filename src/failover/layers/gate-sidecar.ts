/**
 * `catalyst-sre gate`: the dead-man. It follows the controller's gate with a deadline of its own, so that it shuts in time
 * when the controller is stopped, killed or cut off; and it can stand in front of a workload's port, so that what does
 * not ask is shut out as well.
 */
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../clock.ts';
import { messageOf } from '../../errors.ts';
import type { Elapsed } from '../elapsed-clock.ts';
import { Gate, type GateReading } from './gate.ts';
import { gateReply, parseGateAnswer } from './gate-answer.ts';

export interface Address {
  host: string;
  port: number;
}

export interface SidecarOptions {
  group: string;
  /** Base URL of the controller, without a slash at the end. */
  controller: string;
  /** Where it answers `/gate/<group>` and `/livez`. */
  listen: Address;
  /** Ports it stands in front of. */
  forward: readonly { listen: Address; to: Address }[];
  elapsed: Elapsed;
  clock: Clock;
  /** Told each change of the gate. */
  onChange?: (reading: GateReading) => void;
}

export interface Sidecar {
  /** `http://127.0.0.1:8090` */
  url: string;
  /** Ports of `forward`, in order. */
  ports: readonly number[];
  read(): GateReading;
  stop(): Promise<void>;
}

/** How often the controller is asked, ms: what it takes at most to open or shut after the controller did. */
const pollMs = 500;
/** An answer that takes longer is worth nothing: its deadline counts from when it was asked for. */
const answerLimitMs = 1_000;
/** Longest answer read: a gate's is some 150 bytes. */
const maxAnswerBytes = 4_096;
/** How often open connections are checked for a gate that has shut, ms. */
const sweepMs = 50;

export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const { group, elapsed, clock } = options;
  const gate = new Gate(group, elapsed);
  const stopping = new AbortController();
  const forwards = await Promise.all(options.forward.map((forward) => startForward(gate, forward)));
  const door = createHttpServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    const reply =
      path === '/livez'
        ? { status: 200, headers: { 'content-type': 'text/plain' }, body: 'ok' }
        : gateReply(group, path === `/gate/${group}` ? gate.read() : undefined);
    response.writeHead(reply.status, reply.headers).end(reply.body);
  });
  const port = await listening(door, options.listen);
  const follow = followController(options, gate, stopping.signal);
  let wasOpen = false;
  const sweep = setInterval(() => {
    const reading = gate.read();
    if (!reading.open) for (const forward of forwards) forward.cut();
    if (reading.open !== wasOpen) options.onChange?.(reading);
    wasOpen = reading.open;
  }, sweepMs);
  return {
    url: `http://${options.listen.host}:${port}`,
    ports: forwards.map((forward) => forward.port),
    read: () => gate.read(),
    stop: async () => {
      stopping.abort();
      clearInterval(sweep);
      for (const forward of forwards) await forward.close();
      door.closeAllConnections();
      await new Promise((resolve) => door.close(resolve));
      await follow;
    },
  };

  async function followController(o: SidecarOptions, into: Gate, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // Before the question is sent: what the controller then says remains, remains from no later than now.
      const asked = elapsed();
      const text = await ask(`${o.controller}/gate/${encodeURIComponent(o.group)}`, signal).catch(messageOf);
      const answer = parseGateAnswer(o.group, text);
      if (answer?.open) into.extend(answer.epoch, asked + answer.remainingMs, asked);
      // A controller that answers "shut" has the last word, also one that has just started and knows no epoch.
      else if (answer) into.shut(Math.max(answer.epoch, into.read().epoch), `the controller says ${answer.sentence}`);
      await clock.sleep(pollMs, signal).catch(() => {});
    }
  }
}

async function ask(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerLimitMs)]),
    redirect: 'error',
  });
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > maxAnswerBytes) throw new Error('the answer is too long');
  }
  return text;
}

interface Forward {
  port: number;
  /** Ends every connection. */
  cut(): void;
  close(): Promise<void>;
}

async function startForward(gate: Gate, { listen, to }: { listen: Address; to: Address }): Promise<Forward> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    if (!gate.read().open) {
      near.destroy();
      return;
    }
    const far = connect(to.port, to.host);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const)
      pipeline(from, whileOpen(gate), into).catch(() => {
        near.destroy();
        far.destroy();
      });
  });
  const port = await listening(server, listen);
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port,
    cut,
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Each piece is let through by the gate as it is at that moment: after a pause of this process none slips past. */
function whileOpen(gate: Gate): Transform {
  return new Transform({
    transform: (chunk, _encoding, done) => {
      if (gate.read().open) done(null, chunk);
      else done(new Error('the gate is shut'));
    },
  });
}

function listening(server: Server | ReturnType<typeof createHttpServer>, { host, port }: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
