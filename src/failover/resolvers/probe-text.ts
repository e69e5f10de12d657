/**
 * What a region says about itself in DNS, and how it is checked. One TXT record under a name nobody has asked for before:
 *
 * `<nonce>.<group>.<region>.<probe zone>  TXT  "v=1;g=…;epoch=…;state=active|fenced|standby;t=…;sig=…"`
 *
 * The nonce keeps caches out; the signature covers it, so that an old answer is none to a new question. Pure.
 */
import type { SigningKey } from '../keys.ts';
import type { RegionState } from '../protocol.ts';

export interface ProbeState {
  state: RegionState;
  epoch: number;
}

/** Text after the signature's own field; and what is signed: the name asked for, then the fields before the signature. */
const signed = (name: string, fields: string): string => `catalyst-probe/1\n${name.toLowerCase()}\n${fields}`;

/** @param name the whole name asked for @param now milliseconds since the epoch, for people */
export function probeText(
  name: string,
  group: string,
  { state, epoch }: ProbeState,
  now: number,
  key: SigningKey,
): string {
  const fields = `v=1;g=${group};epoch=${epoch};state=${state};t=${Math.floor(now / 1000)}`;
  return `${fields};sig=${key.sign(signed(name, fields))}`;
}

/** What the text says, if the region signed it for this name and group; undefined for anything else. */
export function readProbeText(
  name: string,
  group: string,
  text: string,
  verify: (text: string, signature: string) => boolean,
): ProbeState | undefined {
  const match =
    /^(v=1;g=([-a-z0-9]{1,63});epoch=([0-9]{1,15});state=(active|fenced|standby);t=[0-9]{1,12});sig=(\S{86})$/.exec(
      text,
    );
  if (!match) return undefined;
  const [, fields = '', named, epoch, state, signature = ''] = match;
  if (named !== group || !verify(signed(name, fields), signature)) return undefined;
  return { state: state as RegionState, epoch: Number(epoch) };
}

export function probeName(nonce: string, group: string, region: string, zone: string): string {
  return `${nonce}.${group}.${region}.${zone}`;
}
