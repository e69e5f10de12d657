/** What a receiver is told. */
import type { Json } from '../contract.ts';

export interface Page {
  /** The same whenever the same page is sent again, so that a receiver can drop the second. */
  key: string;
  /** One line. */
  title: string;
  /** The message, plain text. */
  text: string;
  severity?: string;
  /** Where to read on. */
  url?: string;
  /** Where whoever has the page acknowledges what it is about, without logging in. */
  acknowledgeUrl?: string;
  details?: { [key: string]: Json };
}
