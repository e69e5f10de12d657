/**
 * `catalyst-sre gate`: the dead-man. It follows the controller's gate with a deadline of its own, so that it shuts in time
 * when the controller is stopped, killed or cut off; and it can stand in front of a workload's port, so that what does
 * not ask is shut out as well.
 */
import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../clock.ts';
import { messageOf } from '../../errors.ts';
import type { Elapsed } from '../elapsed-clock.ts';
import type { Layer } from '../protocol.ts';
import { Gate, type GateReading } from './gate.ts';
import { type GateAnswer, gateReply, gateSignatureHeader, isSignedGateAnswer, parseGateAnswer } from './gate-answer.ts';

export interface Address {
  host: string;
  port: number;
}

export interface SidecarOptions {
  group: string;
  /** Base URL of the controller, without a slash at the end. */
  controller: string;
  /** Whose gate is followed. */
  layer: Layer;
  /** Keys of the group, read again for each question; undefined believes whoever answers. */
  keys: (() => Promise<readonly string[]>) | undefined;
  /** Where it answers `/gate/<group>` and `/livez`. */
  listen: Address;
  /** Ports it stands in front of. */
  forward: readonly { listen: Address; to: Address }[];
  elapsed: Elapsed;
  clock: Clock;
  /** Told why answers are not believed, once for each reason in a row. */
  onRefused?: (why: string) => void;
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
    let refused: string | undefined;
    while (!signal.aborted) {
      // Before the question is sent: what the controller then says remains, remains from no later than now.
      const asked = elapsed();
      const answer = await askController(o, signal).catch((error: unknown) => messageOf(error));
      if (typeof answer === 'string') {
        if (answer !== refused && !signal.aborted) o.onRefused?.(answer);
        refused = answer;
      } else {
        refused = undefined;
        if (answer.open) into.extend(answer.epoch, asked + answer.remainingMs, asked);
        // A controller that answers "shut" has the last word, also one that has just started and knows no epoch.
        else into.shut(Math.max(answer.epoch, into.read().epoch), `the controller says ${answer.sentence}`);
      }
      await clock.sleep(pollMs, signal).catch(() => {});
    }
  }
}

/** What the controller answers to this question. Throws, and the gate goes by its deadline, for anything else. */
async function askController(options: SidecarOptions, signal: AbortSignal): Promise<GateAnswer> {
  const { group, layer, controller } = options;
  const keys = await options.keys?.();
  // Another for each question: an answer to an earlier one is worth nothing.
  const nonce = randomBytes(16).toString('base64url');
  const { text, signature } = await ask(
    `${controller}/gate/${encodeURIComponent(group)}/${layer}${keys ? `?nonce=${nonce}` : ''}`,
    signal,
  );
  if (keys && !isSignedGateAnswer(keys, { layer, nonce }, text, signature))
    throw new Error('the answer is not signed for what was asked with a key of this gate');
  const answer = parseGateAnswer(group, text);
  if (!answer) throw new Error(`the answer is none about ${group}`);
  return answer;
}

async function ask(url: string, signal: AbortSignal): Promise<{ text: string; signature: string | null }> {
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
  return { text, signature: response.headers.get(gateSignatureHeader) };
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
