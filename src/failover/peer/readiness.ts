/**
 * One region asks the other whether it could take over at once, and is answered with a signature over answer and question:
 * nobody else can keep a switchover from being begun, and no old answer counts. Pure.
 */
import { CatalystError } from '../../errors.ts';
import { isObject } from '../../integrations/define.ts';
import type { Delay } from '../readiness-decision.ts';

export const readinessPath = '/v1/peer/readiness';

/** The longest nonce that is signed. */
const longestNonce = 64;
/** No wait is longer: an hour is far beyond every promise. */
const longestWaitMs = 3_600_000;

export interface SignedAnswer {
  body: string;
  signature: string;
}

export interface Question {
  group: string;
  /** The epoch that would be released. */
  epoch: number;
  nonce: string;
}

const signedText = (body: string): string => `catalyst-peer-readiness/1\n${body}`;

export interface Answering {
  region: string;
  sign: (text: string) => string;
  /** Undefined for a group this region does not keep. */
  delayOf: (group: string, epoch: number) => Delay | 'ready' | undefined;
}

/** Throws BadRequest for what is no question, NotFound for a group that is not kept here. */
export function answerReadiness(query: URLSearchParams, { region, sign, delayOf }: Answering): SignedAnswer {
  const [group, nonce, epoch] = [query.get('group') ?? '', query.get('nonce') ?? '', Number(query.get('epoch'))];
  if (nonce === '' || nonce.length > longestNonce || !Number.isSafeInteger(epoch) || epoch < 0)
    throw new CatalystError('BadRequest', 'The question needs group, epoch and nonce.');
  const delay = delayOf(group, epoch);
  if (delay === undefined) throw new CatalystError('NotFound', 'There is no such group here.');
  const words = delay === 'ready' ? null : { waitMs: delay.waitMs ?? null, sentence: delay.sentence };
  const body = JSON.stringify({ from: region, group, epoch, nonce, delay: words });
  return { body, signature: sign(signedText(body)) };
}

/** Throws Unauthenticated for what the peer did not sign, InvalidBody for another answer than to this question. */
export function readReadiness(
  { body, signature }: { body: string; signature: string | undefined },
  question: Question,
  peer: string,
  verify: (text: string, signature: string) => boolean,
): Delay | 'ready' {
  if (!verify(signedText(body), signature ?? ''))
    throw new CatalystError('Unauthenticated', `The answer is not signed by the key of region ${peer}.`);
  const value: unknown = JSON.parse(body);
  const wrong = new CatalystError('InvalidBody', `The answer of ${peer} is none to what was asked.`);
  if (!isObject(value) || value.from !== peer || value.group !== question.group) throw wrong;
  if (value.epoch !== question.epoch || value.nonce !== question.nonce) throw wrong;
  const { delay } = value;
  if (delay === null) return 'ready';
  if (!isObject(delay) || typeof delay.sentence !== 'string') throw wrong;
  const { waitMs, sentence } = delay;
  if (waitMs === null) return { waitMs: undefined, sentence };
  if (typeof waitMs !== 'number' || !(waitMs >= 0 && waitMs <= longestWaitMs)) throw wrong;
  return { waitMs, sentence };
}
