/**
 * Reads the documents of a commit out of the object store. There is no work tree: nothing is checked out, so no hook
 * runs, no link is followed and no submodule is fetched, whatever the repository holds.
 */
import type { Problem } from '../resource.ts';
import { fileProblem, type SourceDocument } from '../source.ts';
import { decodeFile, isDocumentPath, maxFileBytes, maxFiles, maxTotalBytes, tooLarge, tooMuch } from './file-rules.ts';
import { hasControls } from './git-address.ts';
import type { Git, GitCall } from './git-command.ts';

export interface TreeEntry {
  mode: string;
  /** Object id, hexadecimal. */
  id: string;
  /** Undefined for a submodule. */
  bytes: number | undefined;
  path: string;
}

/** Room for the names of a very large repository: about 300,000 entries. */
const maxListingBytes = 32 * 1024 * 1024;
/** `<id> blob <size>\n` and a line end for each file. */
const overheadBytes = 128;

export interface TreeReading {
  documents: SourceDocument[];
  problems: Problem[];
}

/**
 * @param treeish a commit or `<commit>:<folder>`
 * @param source name of the source, for problems
 */
export async function readTree(
  git: Git,
  directory: string,
  treeish: string,
  {
    source,
    revision,
    withTests,
    ...call
  }: Omit<GitCall, 'maxBytes'> & { source: string; revision: string; withTests: boolean },
): Promise<TreeReading> {
  const listing = await git(['--git-dir', directory, 'ls-tree', '-r', '-z', '-l', '--full-tree', treeish], {
    ...call,
    maxBytes: maxListingBytes,
  });
  const { wanted, problems } = chooseEntries(parseListing(listing), source, withTests);
  const contents = await readBlobs(git, directory, wanted, call);
  const documents: SourceDocument[] = [];
  for (const { id, path } of wanted) {
    const decoded = decodeFile(source, path, contents.get(id) ?? new Uint8Array());
    if ('problem' in decoded) problems.push(decoded.problem);
    else documents.push({ file: path, text: decoded.text, revision });
  }
  return { documents, problems };
}

/** `<mode> <type> <id> <size>\t<path>\0`, as `git ls-tree -z -l` writes it. Names come as bytes. */
export function parseListing(listing: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (const line of listing.toString('utf8').split('\0')) {
    const parsed = /^(\d{6}) \w+ ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(line);
    if (!parsed) continue;
    const [, mode = '', id = '', size = '', path = ''] = parsed;
    entries.push({ mode, id, path, bytes: size === '-' ? undefined : Number(size) });
  }
  return entries;
}

/** Which entries are read, and what is said of those that look like documents and are not. Pure. */
export function chooseEntries(entries: readonly TreeEntry[], source: string, withTests: boolean) {
  const wanted: TreeEntry[] = [];
  const problems: Problem[] = [];
  let total = 0;
  for (const entry of entries) {
    const { mode, path, bytes } = entry;
    const tell = (file: string, rule: string, sentence: string, severity: Problem['severity'] = 'error') =>
      problems.push(fileProblem(source, file, rule, sentence, severity));
    if (mode === '160000')
      tell(shown(path), 'submodule', 'A submodule is not read. Make its repository a source of its own.', 'warning');
    else if (!isDocumentPath(path, withTests)) continue;
    else if (isHostile(path))
      tell(shown(path), 'file-name', 'The name of this file holds characters that no file name should; rename it.');
    else if (mode === '120000') tell(path, 'link', 'It is a symbolic link, which is not followed. Copy the file here.');
    else if (bytes === undefined || bytes > maxFileBytes) problems.push(tooLarge(source, path, bytes ?? 0));
    else if (wanted.length >= maxFiles || total + bytes > maxTotalBytes) problems.push(tooMuch(source, path));
    else {
      total += bytes;
      wanted.push(entry);
    }
  }
  return { wanted, problems };
}

/** U+FFFD stands where the bytes of the name were not UTF-8. */
function isHostile(path: string): boolean {
  return hasControls(path) || path.includes('\u{fffd}') || path.split('/').some((part) => part === '..' || part === '');
}

/** A name as it can be shown on one line. */
function shown(path: string): string {
  return hasControls(path) ? JSON.stringify(path) : path;
}

async function readBlobs(
  git: Git,
  directory: string,
  entries: readonly TreeEntry[],
  call: Omit<GitCall, 'maxBytes'>,
): Promise<Map<string, Uint8Array>> {
  // The same content under several names is one object.
  const sizes = new Map(entries.map(({ id, bytes = 0 }) => [id, bytes]));
  if (sizes.size === 0) return new Map();
  const maxBytes = [...sizes.values()].reduce((sum, bytes) => sum + bytes + overheadBytes, 0);
  const input = [...sizes.keys()].map((id) => `${id}\n`).join('');
  return parseBatch(await git(['--git-dir', directory, 'cat-file', '--batch'], { ...call, input, maxBytes }));
}

/** `<id> blob <size>\n<content>\n`, as `git cat-file --batch` writes it. Throws where an object is missing. */
export function parseBatch(output: Buffer): Map<string, Uint8Array> {
  const contents = new Map<string, Uint8Array>();
  let at = 0;
  while (at < output.length) {
    const end = output.indexOf(0x0a, at);
    const header = output.toString('latin1', at, end < 0 ? output.length : end);
    const [, id, size] = /^([0-9a-f]+) blob (\d+)$/.exec(header) ?? [];
    if (id === undefined || size === undefined) throw new Error(`git gave no content: ${header.slice(0, 100)}`);
    const start = end + 1;
    contents.set(id, output.subarray(start, start + Number(size)));
    at = start + Number(size) + 1;
  }
  return contents;
}
