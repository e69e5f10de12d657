/**
 * Keys by which regions know each other: Ed25519 (RFC 8032). A private key stays in a PEM file of its region; the public
 * key is one word that goes into everybody else's configuration.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { CatalystError, messageOf } from '../errors.ts';

/** `ed25519:` and the 32 bytes of the key in base64url. */
export const publicKeyPattern = '^ed25519:[A-Za-z0-9_-]{43}$';

export interface SigningKey {
  publicKey: string;
  /** 64 bytes in base64url, over the text as it is. */
  sign(text: string): string;
}

/** A new pair: the private key as PKCS #8 in PEM, for a file of mode 0600. */
export function generateKey(): { privateKeyPem: string; publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: wordOf(publicKey),
  };
}

/** Reads a private key. Throws NotConfigured, and never shows the text. */
export function signingKey(pem: string): SigningKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw notAKey();
  }
  if (key.asymmetricKeyType !== 'ed25519') throw notAKey();
  return {
    publicKey: wordOf(createPublicKey(key)),
    sign: (text) => sign(null, Buffer.from(text), key).toString('base64url'),
  };
}

function notAKey(): CatalystError {
  return new CatalystError('NotConfigured', 'The file holds no Ed25519 private key in PEM.', {
    hint: 'Make one with: catalyst-sre witness key --out FILE',
  });
}

/** A function that says whether a signature is by the owner of this public key. Throws NotConfigured for a word that is no key. */
export function verifier(publicKey: string): (text: string, signature: string) => boolean {
  let key: KeyObject;
  try {
    if (!new RegExp(publicKeyPattern).test(publicKey))
      throw new Error('it does not begin with ed25519: or has another length');
    key = createPublicKey({
      format: 'jwk',
      key: { kty: 'OKP', crv: 'Ed25519', x: publicKey.slice('ed25519:'.length) },
    });
  } catch (error) {
    throw new CatalystError('NotConfigured', `${publicKey.slice(0, 60)} is no public key: ${messageOf(error)}.`, {
      hint: 'It is the word that "catalyst-sre witness key" prints.',
    });
  }
  return (text, signature) =>
    /^[A-Za-z0-9_-]{86}$/.test(signature) && verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64url'));
}

function wordOf(publicKey: KeyObject): string {
  return `ed25519:${publicKey.export({ format: 'jwk' }).x}`;
}
