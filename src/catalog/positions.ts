/** Where things stand in the text of a document. */
import type { Path } from './schema.ts';

export interface Position {
  /** Counted from 1. */
  line: number;
  column: number;
}

/** Answers for any path, also one that does not exist: then the nearest thing around it. */
export interface Positions {
  /** Where the value stands; with an offset, where that character of a text value stands. */
  value(path: Path, offset?: number): Position;
  /** Where the key of the value stands. */
  key(path: Path): Position;
}

/** Positions of a document whose text is not at hand: everything is at its first line. */
export function onLine(line: number): Positions {
  const position = { line, column: 1 };
  return { value: () => position, key: () => position };
}
