/** Text from outside as text in Markdown (CommonMark and GitHub's): it never becomes a link, an image, HTML or a table. */

/** Longer sentences are cut: a review is read. */
const longest = 500;

/** One line; what would be markup is escaped, what would act on a terminal or turn the direction of text is gone. */
export function markdownText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  const line = text
    .replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]+/gu, ' ')
    .toWellFormed()
    .trim();
  const cut = line.length > longest ? `${line.slice(0, longest - 1).toWellFormed()}…` : line;
  return (
    cut
      .replaceAll(/[\\`*_[\]<>#|~&@!()$]/g, '\\$&')
      // Addresses become links by themselves.
      .replaceAll('://', ':\\/\\/')
      .replaceAll(/\bwww\./gi, (www) => `${www.slice(0, -1)}\\.`)
      // At its beginning these begin a list.
      .replace(/^([-+=]|\d+(?=[.)]))/, (begin) => (/\d/.test(begin) ? `${begin}\\` : `\\${begin}`))
  );
}
