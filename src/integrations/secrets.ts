/**
 * Secrets by reference. Configuration never holds a secret, only where to find one; the value is read when it is
 * needed, so that a rotated token is used with the next request, and every value that was read is known to `redact`.
 */
import { readFile, stat } from 'node:fs/promises';
import Type from 'typebox';
import { CatalystError, messageOf } from '../errors.ts';

/** Where a secret is: a file (a mounted Secret) or an environment variable. */
export type SecretReference = { file: string } | { env: string };

/** The port through which integrations read secrets. */
export interface Secrets {
  /** The value, without the line end that editors add. Throws NotConfigured when it is absent or empty. */
  read(reference: SecretReference): Promise<string>;
  /** Adds a value that was had by other means (a share, a derived header) to what `redact` knows. */
  remember(value: string): void;
  /** Replaces every secret known so far in a text by `[redacted]`. */
  redact(text: string): string;
}

/** Larger than any token or key, small enough never to hurt. */
const maxSecretBytes = 64 * 1024;

/** Shorter values are not redacted: they would blank out ordinary words, and nobody should use such a secret. */
const minRedactedLength = 6;

/**
 * Reads secrets from files and from the environment given. A file is read each time, so that a changed one counts at once.
 */
export function createSecrets(env: Readonly<Record<string, string | undefined>>): Secrets {
  const known = new Set<string>();
  const remember = (value: string): void => {
    if (value.length < minRedactedLength) return;
    known.add(value);
    known.add(encodeURIComponent(value));
    known.add(Buffer.from(value).toString('base64'));
  };
  return {
    async read(reference) {
      const value = 'file' in reference ? await readSecretFile(reference.file) : (env[reference.env] ?? '').trim();
      if (value === '') {
        throw new CatalystError('NotConfigured', `${describeReference(reference)} is empty`, {
          hint: 'Put the secret there, or change the reference in the configuration.',
        });
      }
      remember(value);
      return value;
    },
    remember,
    redact(text) {
      // Longest first, so that a secret which contains another one leaves no rest behind.
      const values = [...known].sort((a, b) => b.length - a.length);
      return values.reduce((result, value) => result.replaceAll(value, '[redacted]'), text);
    },
  };
}

async function readSecretFile(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > maxSecretBytes) throw new Error(`${size} bytes is too large for a secret`);
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new CatalystError('NotConfigured', `secret file ${file} cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: 'Mount the file, or change the reference in the configuration.',
    });
  }
}

function describeReference(reference: SecretReference): string {
  return 'file' in reference ? `secret file ${reference.file}` : `environment variable ${reference.env}`;
}

/** The two properties that refer to a secret in a configuration schema: `<name>File` and `<name>Env`. */
export function secretProperties<Name extends string>(name: Name, what: string) {
  const properties = {
    [`${name}File`]: Type.Optional(
      Type.String({ description: `File that holds ${what}; read again for each use.`, minLength: 1, maxLength: 4096 }),
    ),
    [`${name}Env`]: Type.Optional(
      Type.String({ description: `Environment variable that holds ${what}.`, pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }),
    ),
  };
  return properties as {
    [Key in `${Name}File` | `${Name}Env`]: ReturnType<typeof Type.Optional<ReturnType<typeof Type.String>>>;
  };
}

/** The reference a configuration holds under `<name>File` or `<name>Env`; undefined when it holds neither. */
export function secretReference(config: Readonly<Record<string, unknown>>, name: string): SecretReference | undefined {
  const file = config[`${name}File`];
  const env = config[`${name}Env`];
  if (typeof file === 'string') return { file };
  if (typeof env === 'string') return { env };
  return undefined;
}
