/** Which files count as documents, and how much of them is read: the same for folders and repositories. */
import type { Problem } from '../resource.ts';
import { fileProblem } from '../source.ts';

/** A runbook is some kilobytes. More than 1 MiB is a mistake or an attack, and Kubernetes would not take it either. */
export const maxFileBytes = 1024 * 1024;
/** Far more documents than people maintain; a wrong folder (`/`) is told instead of read. */
export const maxFiles = 10_000;
/** All files of one source together; held in memory. */
export const maxTotalBytes = 64 * 1024 * 1024;

/** Runbook tests live beside runbooks in folders of this name, and are not part of what runs. */
const testFolder = 'tests';

/** Whether a folder of this name is looked into. */
export function isReadFolder(name: string, withTests: boolean): boolean {
  return !name.startsWith('.') && (withTests || name !== testFolder);
}

/** Whether a file of this name holds documents. */
export function isDocumentFile(name: string): boolean {
  return /\.ya?ml$/.test(name) && !name.startsWith('.');
}

/** Whether the path (with `/`) names a document none of whose folders is hidden or left out. */
export function isDocumentPath(path: string, withTests: boolean): boolean {
  const parts = path.split('/');
  return isDocumentFile(parts.pop() ?? '') && parts.every((part) => isReadFolder(part, withTests));
}

/** The text of a file, or the problem with its bytes. */
export function decodeFile(source: string, file: string, bytes: Uint8Array): { text: string } | { problem: Problem } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { problem: fileProblem(source, file, 'not-utf8', 'The file is not UTF-8 text; save it as UTF-8.') };
  }
}

export function tooLarge(source: string, file: string, bytes: number): Problem {
  const sentence = `The file has ${bytes} bytes; at most ${maxFileBytes} are read. Split it into several files.`;
  return fileProblem(source, file, 'file-too-large', sentence);
}

/** What is left out beyond `maxFiles` or `maxTotalBytes`. */
export function tooMuch(source: string, file: string): Problem {
  const sentence = `The source holds more than ${maxFiles} files or ${maxTotalBytes} bytes; this file was left out. Point the source at a smaller folder.`;
  return fileProblem(source, file, 'source-too-large', sentence);
}
