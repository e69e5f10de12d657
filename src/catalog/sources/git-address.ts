/** What may be given as a repository, a ref and a path. Everything here ends up in the arguments of a program. */
import { isAbsolute, posix } from 'node:path';
import { CatalystError } from '../../errors.ts';

export interface GitAddress {
  /** As git gets it. Holds no secret. */
  url: string;
  /** The one protocol git may speak for it. */
  protocol: 'https' | 'http' | 'ssh' | 'file';
  /** `acme/runbooks`, by which push events name it; undefined where the address has no such end. */
  repository?: string;
}

/**
 * Understands `https://host/owner/name.git`, `ssh://git@host/owner/name.git`, `git@host:owner/name.git` and an absolute
 * path; `http` for this machine alone, since a token and runbooks would cross the network in the clear.
 *
 * @throws CatalystError InvalidResource, never repeating an address that holds credentials
 */
export function parseGitAddress(text: string): GitAddress {
  if (hasControls(text)) throw wrong('The address of a repository holds a control character.');
  const repository = repositoryOf(text);
  const named = repository === undefined ? {} : { repository };
  if (isAbsolute(text)) return { url: text, protocol: 'file', ...named };
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return { ...parseUrl(text), ...named };
  // The short form of SSH. A host that begins with a dash would be an option of ssh; "::" would start a remote helper.
  if (/^([\w.-]+@)?[a-z0-9][a-z0-9.-]*:[^:-][^:]*$/i.test(text) && !text.startsWith('-'))
    return { url: text, protocol: 'ssh', ...named };
  throw wrong(`${JSON.stringify(text)} is not the address of a repository.`);
}

function parseUrl(text: string): GitAddress {
  const url = URL.parse(text);
  if (url === null) throw wrong('The address of a repository is not a URL.');
  const { protocol, username, password, hostname, search, hash } = url;
  if (password !== '' || (username !== '' && protocol !== 'ssh:'))
    throw wrong(
      'The address of a repository holds credentials.',
      'Put the token into a file and name it in tokenFile.',
    );
  if (search !== '' || hash !== '') throw wrong('The address of a repository holds a "?" or "#".');
  if (protocol === 'https:' && hostname !== '') return { url: text, protocol: 'https' };
  if (protocol === 'ssh:' && /^[a-z0-9[]/i.test(hostname) && !username.startsWith('-'))
    return { url: text, protocol: 'ssh' };
  if (protocol === 'http:' && isLoopback(hostname)) return { url: text, protocol: 'http' };
  if (protocol === 'http:') throw wrong(`${text} is not encrypted.`, 'Use https; http is for this machine alone.');
  throw wrong(`${text} cannot be read.`);
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}

/** `https://gitea.example/acme/runbooks.git` and `git@gitea.example:acme/runbooks.git` are both `acme/runbooks`. */
export function repositoryOf(address: string): string | undefined {
  return /[/:]([^/:]+\/[^/:]+?)(?:\.git)?\/*$/.exec(address)?.[1];
}

/**
 * A branch or tag, by the rules of git check-ref-format, and not one that git would take for an option or a refspec.
 *
 * @throws CatalystError InvalidResource
 */
export function checkRef(ref: string): string {
  const forbidden = /[\s~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|[/.]$|^[-/.+@]|^$/;
  if (forbidden.test(ref) || hasControls(ref) || ref.length > 255)
    throw wrong(`${JSON.stringify(ref)} is not the name of a branch or tag.`, 'Name one like main or release-1.2.');
  return ref;
}

/**
 * A folder inside the repository without `.` and `..`; empty for the whole.
 *
 * @throws CatalystError InvalidResource
 */
export function checkFolder(path: string): string {
  const folder = posix.normalize(path).replace(/\/$/, '');
  if (folder.startsWith('/') || folder === '..' || folder.startsWith('../') || hasControls(path))
    throw wrong(
      `${JSON.stringify(path)} is not a folder inside a repository.`,
      'Name one like runbooks or sre/runbooks.',
    );
  return folder === '.' ? '' : folder;
}

/** Control characters: line ends and terminal sequences have no place in names. */
export function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

const usualHint =
  'Use https://host/owner/name.git, ssh://git@host/owner/name.git, git@host:owner/name.git or an absolute path.';

function wrong(sentence: string, hint = usualHint): CatalystError {
  return new CatalystError('InvalidResource', sentence, { hint });
}
