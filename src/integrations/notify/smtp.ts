/** Pages by mail. The Message-ID is made of the key, so that a mailbox shows a page that was sent twice once. */
import { createHash } from 'node:crypto';
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../contract.ts';
import { isObject } from '../define.ts';
import { type Secrets, secretReference } from '../secrets.ts';
import type { Page } from './page.ts';
import type { SmtpReceiver } from './schema.ts';

/** Limits of one mail, ms: a mail server that is slower is down. */
const connectionTimeout = 10_000;
const socketTimeout = 20_000;

export function createSmtp(receiver: SmtpReceiver, secrets: Secrets) {
  return {
    async deliver(context: CallContext, page: Page): Promise<void> {
      context.signal.throwIfAborted();
      const { createTransport } = await import('nodemailer');
      const transport = createTransport(await optionsOf(receiver, secrets));
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const stop = () =>
        reject(new CatalystError('TimedOut', `${receiver.host} did not take the mail in time`, { certain: false }));
      context.signal.addEventListener('abort', stop, { once: true });
      try {
        await Promise.race([transport.sendMail(mailOf(receiver, page)), aborted]);
      } catch (error) {
        throw toCatalystError(error, receiver.host, secrets);
      } finally {
        context.signal.removeEventListener('abort', stop);
        transport.close();
      }
    },
    close: () => {},
  };
}

async function optionsOf(receiver: SmtpReceiver, secrets: Secrets) {
  const { host, port = 587, tls = 'StartTls', username } = receiver;
  const password = secretReference(receiver, 'password');
  return {
    host,
    port,
    secure: tls === 'Implicit',
    requireTLS: tls === 'StartTls',
    ignoreTLS: tls === 'None',
    connectionTimeout,
    greetingTimeout: connectionTimeout,
    socketTimeout,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(username === undefined || password === undefined
      ? {}
      : { auth: { user: username, pass: await secrets.read(password) } }),
  };
}

function mailOf({ from, to }: SmtpReceiver, page: Page) {
  const id = createHash('sha256').update(page.key).digest('hex').slice(0, 32);
  return {
    from,
    to,
    subject: page.title.replaceAll(/\s+/g, ' '),
    text: [page.text, page.acknowledgeUrl && `Acknowledge: ${page.acknowledgeUrl}`, page.url]
      .filter(Boolean)
      .join('\n\n'),
    messageId: `<${id}@${from.split('@')[1]}>`,
    // Keeps out-of-office replies from answering a machine.
    headers: {
      'Auto-Submitted': 'auto-generated',
      ...(page.severity === undefined ? {} : { 'X-Catalyst-Severity': page.severity }),
    },
  };
}

/** Codes of the mail library for which the message was certainly not taken. */
const certainCodes = ['ECONNECTION', 'EDNS', 'EAUTH', 'ETLS', 'EENVELOPE', 'ENOAUTH', 'ECONNREFUSED', 'ESOCKET'];

function toCatalystError(error: unknown, host: string, secrets: Secrets): CatalystError {
  if (error instanceof CatalystError) return error;
  const { code, responseCode } = isObject(error) ? error : { code: undefined, responseCode: undefined };
  const refused = typeof responseCode === 'number' && responseCode >= 500;
  const certain =
    typeof responseCode === 'number' || (typeof code === 'string' && certainCodes.includes(code) && code !== 'ESOCKET');
  const sentence = `${host} did not take the mail: ${secrets.redact(messageOf(error))}`;
  return new CatalystError(refused ? 'UpstreamRefused' : 'UpstreamUnavailable', sentence, {
    certain,
    details: { host, ...(typeof responseCode === 'number' ? { status: responseCode } : {}) },
    hint: 'Check the mail server, its credentials and the addresses under integrations.notify.receivers.',
  });
}
