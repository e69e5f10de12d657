/**
 * Takes secrets out of text that leaves the process: log lines, answers, error messages. The last net, not the first:
 * code that knows a value is a secret never puts it into text.
 */

const mark = '[redacted]';

/**
 * Each pattern keeps what names the secret and replaces the secret itself. None crosses a quote, so JSON stays JSON; and
 * none looks at a long text again from each of its characters, because that text comes from outside.
 */
const patterns: readonly [RegExp, string][] = [
  // RFC 6750 and RFC 7617 credentials in a header; not the word after "bearer" in a sentence, which is short and lower-case.
  [
    /\b([Bb]earer|BEARER|[Bb]asic|BASIC)(\s+)(?![a-z]{1,15}(?:[\s"',;:)]|\.?$|\.[\s"']))[A-Za-z0-9._~+/-]{4,}=*/g,
    `$1$2${mark}`,
  ],
  // Credentials in a URL, RFC 3986 §3.2.1. Greedy up to the last @ of the authority: a password may hold one.
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/"'\\<>?#]+@/gi, `$1${mark}@`],
  // token=…, password: …, api_key=… in query strings and connection strings.
  [
    /\b((?:access_|refresh_|id_|client_|x-vault-)?(?:token|password|passwd|secret|api_?key))(\s*=\s*|:\s+)[^\s&"'\\;,[]+/gi,
    `$1$2${mark}`,
  ],
  // OpenBao and Vault service, batch and recovery tokens.
  [/\bhv[sbr]\.[A-Za-z0-9_-]{8,}/g, mark],
  // JSON web tokens: a base64url object and the parts after it.
  [/\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]+)*/g, mark],
  // Private keys, also with line breaks written as \n inside JSON.
  [/-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^"]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|$|(?="))/g, mark],
];

/** The text without bearer tokens, credentials in URLs, and other things that look like secrets. */
export function scrub(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of patterns) clean = clean.replace(pattern, replacement);
  return clean;
}
