/**
 * Documents in a folder of this machine: a mounted ConfigMap, a checkout, or the handbook that comes with the product.
 * Nothing outside the folder is read, whatever links in it say.
 */
import { type FSWatcher, constants as fsConstants, watch } from 'node:fs';
import { type FileHandle, open, readdir, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Clock } from '../../clock.ts';
import { messageOf } from '../../errors.ts';
import type { Problem } from '../resource.ts';
import {
  type CatalogSource,
  fileProblem,
  precedences,
  type SourceDocument,
  type SourceSnapshot,
  sameSnapshot,
  sourceProblem,
} from '../source.ts';
import {
  decodeFile,
  isDocumentFile,
  isReadFolder,
  maxFileBytes,
  maxFiles,
  maxTotalBytes,
  tooLarge,
  tooMuch,
} from './file-rules.ts';
import { createPoller } from './poller.ts';

export interface FolderSourceOptions {
  path: string;
  clock: Clock;
  /** Default `folder:<path>`. */
  name?: string;
  organization?: string;
  /** Default that of folders. */
  precedence?: number;
  /** Whether changes are looked for. Default true; the handbook inside the product does not change. */
  watch?: boolean;
  /** How often it is looked at beside what the file system tells, ms. Default 10 s: network file systems tell nothing. */
  pollMs?: number;
  /** Whether folders named `tests` are read, too. Default false. */
  withTests?: boolean;
}

/** Editors and ConfigMap mounts touch several files in a row; they are read once, ms. */
const debounceMs = 100;
const defaultPollMs = 10_000;
/** Documents lie a few folders deep; this ends what links make endless. */
const maxDepth = 16;
/** How often a folder that changes while it is read is read again before it is taken as it is. */
const maxReadings = 3;
/** Watches are a scarce good of the machine; beyond this many folders polling has to do. */
const maxWatches = 256;
/** A ConfigMap mount swaps this link to show all its new files at once. */
const swappedLink = '..data';

/** Makes a source of a folder; nothing is read before `start`. */
export function createFolderSource(options: FolderSourceOptions): CatalogSource {
  const { path, clock, organization, withTests = false, pollMs = defaultPollMs } = options;
  const name = options.name ?? `folder:${path}`;
  const watching = options.watch ?? true;
  let last: SourceSnapshot | undefined;
  let tell: (snapshot: SourceSnapshot) => void = () => {};
  const watches = createWatches(() => void poller.refresh());

  const poller = createPoller({
    clock,
    async round(signal) {
      if (last !== undefined && watching) await clock.sleep(debounceMs, signal).catch(() => {});
      if (signal.aborted) return undefined;
      const { folders, ...read } = await readFolder(path, name, withTests);
      // Watched before it is told, so that no change after this reading goes unseen for longer than a poll.
      if (watching) watches.set(folders);
      const snapshot = 'problem' in read ? { documents: last?.documents ?? [], problems: [read.problem] } : read;
      if (!signal.aborted && !sameSnapshot(last, snapshot)) {
        last = snapshot;
        tell(snapshot);
      }
      return watching ? pollMs : undefined;
    },
  });

  return {
    name,
    ...(organization === undefined ? {} : { organization }),
    precedence: options.precedence ?? precedences.folder,
    start(onChange) {
      tell = onChange;
      return poller.start();
    },
    refresh: () => poller.refresh(),
    async stop() {
      watches.close();
      await poller.stop();
    },
  };
}

/** One watch for each folder; a watch that fails is done without. */
function createWatches(onEvent: () => void) {
  const open = new Map<string, FSWatcher>();
  let closed = false;
  const drop = (folder: string) => {
    open.get(folder)?.close();
    open.delete(folder);
  };
  return {
    set(folders: readonly string[]) {
      if (closed) return;
      const wanted = new Set(folders.slice(0, maxWatches));
      for (const folder of open.keys()) if (!wanted.has(folder)) drop(folder);
      for (const folder of wanted) {
        if (open.has(folder)) continue;
        try {
          const watcher = watch(folder, { persistent: false }, onEvent);
          watcher.on('error', () => drop(folder));
          open.set(folder, watcher);
        } catch {
          // Gone again, or no watches left on this machine: polling finds its changes.
        }
      }
    },
    close() {
      closed = true;
      for (const folder of [...open.keys()]) drop(folder);
    },
  };
}

type Reading = { documents: SourceDocument[]; problems: Problem[]; folders: string[] };

/** Reads the folder as it is at one moment, as far as that can be had; or says why it cannot be read. */
async function readFolder(
  path: string,
  source: string,
  withTests: boolean,
): Promise<Reading | { problem: Problem; folders: string[] }> {
  try {
    for (let reading = 1; ; reading += 1) {
      const root = await realpath(path);
      const before = await swapState(root);
      const walk = createWalk(root, source, withTests);
      await walk.folder(root, '', []);
      const torn = walk.vanished || before !== (await swapState(root));
      if (torn && reading < maxReadings) continue;
      return { documents: walk.documents, problems: walk.problems, folders: walk.folders };
    }
  } catch (error) {
    const sentence = `The folder ${path} cannot be read: ${messageOf(error)}. What was read from it last goes on serving.`;
    return { problem: sourceProblem(source, 'source-unreachable', sentence), folders: [] };
  }
}

async function swapState(root: string): Promise<string> {
  return realpath(join(root, swappedLink)).catch(() => '');
}

function createWalk(root: string, source: string, withTests: boolean) {
  const walk = {
    documents: [] as SourceDocument[],
    problems: [] as Problem[],
    folders: [] as string[],
    /** Something that was listed was not there any more. */
    vanished: false,
    folder,
  };
  let bytesRead = 0;
  const buffer = Buffer.allocUnsafe(maxFileBytes + 1);

  /** @param real the folder without links; @param inside its path as it is told; @param above the real folders above it */
  async function folder(real: string, inside: string, above: readonly string[]): Promise<void> {
    walk.folders.push(real);
    const entries = await readdir(real, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const file = inside === '' ? entry.name : `${inside}/${entry.name}`;
      const interesting = isDocumentFile(entry.name) || isReadFolder(entry.name, withTests);
      if (!interesting || (entry.isFile() && !isDocumentFile(entry.name))) continue;
      try {
        await entryOf(join(real, entry.name), file, [...above, real], entry.isDirectory());
      } catch (error) {
        const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
        if (gone) walk.vanished = true;
        // A dangling link that is no document concerns nobody.
        if (!gone || isDocumentFile(entry.name) || entry.isDirectory())
          tell(file, 'file-unreadable', `It cannot be read: ${messageOf(error)}.`);
      }
    }
  }

  async function entryOf(path: string, file: string, above: readonly string[], isFolder: boolean): Promise<void> {
    const name = file.slice(file.lastIndexOf('/') + 1);
    const real = await realpath(path);
    if (real !== root && !real.startsWith(root.endsWith(sep) ? root : root + sep)) {
      if (isFolder || isDocumentFile(name))
        tell(
          file,
          'link-leaves-folder',
          'It is a link to a place outside the folder, which is not read. Copy the file here.',
        );
      return;
    }
    const handle = await open(real, fsConstants.O_RDONLY | fsConstants.O_NOFOLLOW | fsConstants.O_NONBLOCK);
    try {
      const stat = await handle.stat();
      if (stat.isDirectory()) {
        // A link to a folder above would be walked for ever.
        if (!isReadFolder(name, withTests) || above.includes(real)) return;
        if (above.length >= maxDepth)
          return tell(file, 'folder-too-deep', `Folders deeper than ${maxDepth} are not read.`);
        return await folder(real, file, above);
      }
      if (!isDocumentFile(name)) return;
      if (!stat.isFile()) return tell(file, 'file-unreadable', 'It is not a regular file.');
      if (stat.size > maxFileBytes) return void walk.problems.push(tooLarge(source, file, stat.size));
      take(file, await readInto(handle, buffer));
    } finally {
      await handle.close();
    }
  }

  function take(file: string, bytes: Uint8Array): void {
    // It may have grown since its size was asked for.
    if (bytes.length > maxFileBytes) return void walk.problems.push(tooLarge(source, file, bytes.length));
    bytesRead += bytes.length;
    if (bytesRead > maxTotalBytes || walk.documents.length >= maxFiles)
      return void walk.problems.push(tooMuch(source, file));
    const decoded = decodeFile(source, file, bytes);
    if ('problem' in decoded) walk.problems.push(decoded.problem);
    else walk.documents.push({ file, text: decoded.text });
  }

  function tell(file: string, rule: string, sentence: string): void {
    walk.problems.push(fileProblem(source, file, rule, sentence));
  }

  return walk;
}

/** Reads as much as there is room for: one byte more than a file may have, so that a longer one is noticed. */
async function readInto(handle: FileHandle, buffer: Buffer): Promise<Uint8Array> {
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}
