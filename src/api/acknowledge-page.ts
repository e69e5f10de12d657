/** The page behind the link of a page: what it is about, and one button. No script, nothing from elsewhere. Pure. */
import { createHash } from 'node:crypto';
import type { Acknowledgement } from './ports.ts';

const style = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; background: light-dark(#f6f7f6, #121716); color: light-dark(#17201e, #e6ecea); }
body { margin: 0; display: grid; min-height: 100dvh; place-items: center; }
main { box-sizing: border-box; width: calc(100% - 2rem); max-width: 30rem; margin: 1rem; padding: 2rem; border: 1px solid light-dark(#dde3e0, #2e3937); border-radius: 12px; background: light-dark(#ffffff, #1a2120); }
small { color: light-dark(#55615e, #a0aeaa); }
h1 { margin: .25rem 0 1rem; font-size: 1.4rem; line-height: 1.3; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
p:last-child { margin: 0; }
form { margin-top: 1.5rem; }
button { font: inherit; font-weight: 600; width: 100%; min-height: 3rem; padding: .75rem; border: 0; border-radius: 8px; background: light-dark(#1f6b66, #6fc7bb); color: light-dark(#ffffff, #0d1816); cursor: pointer; }
button:focus-visible { outline: 3px solid light-dark(#8a5200, #f0b45c); outline-offset: 3px; }
`;

/** Only this style sheet, a form to this server, and no frame around it. */
export const acknowledgePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Said {
  status: number;
  title: string;
  sentences: string[];
  button?: boolean;
}

/** The page and its status for what was found behind the link, before the button is pressed or after. */
export function acknowledgePage(
  found: Acknowledgement | { state: 'Unavailable' },
  pressed: 'NotYet' | 'Done' | 'TooLate',
): { status: number; html: string } {
  const { status, title, sentences, button } = said(found, pressed);
  const form = button ? '<form method="post"><button type="submit">Acknowledge</button></form>' : '';
  return {
    status,
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body><main>
<small>Catalyst SRE</small>
<h1>${escapeHtml(title)}</h1>
${sentences.map((sentence) => `<p>${escapeHtml(sentence)}</p>`).join('\n')}
${form}
</main></body>
</html>
`,
  };
}

function said(found: Acknowledgement | { state: 'Unavailable' }, pressed: 'NotYet' | 'Done' | 'TooLate'): Said {
  const inConsole = 'Open the incident in the console, or answer a newer page.';
  switch (found.state) {
    case 'Unavailable':
      return {
        status: 503,
        title: 'Not now',
        sentences: ['Catalyst SRE cannot reach its database. Nothing was acknowledged. Try again in a moment.'],
      };
    case 'Unknown':
      return {
        status: 404,
        title: 'This link is not known',
        sentences: ['It was cut off on its way, or the key it was made with has been replaced.', inConsole],
      };
    case 'Expired':
      return { status: 410, title: 'This link has run out', sentences: ['It was good for 24 hours.', inConsole] };
    case 'Resolved':
      return {
        status: pressed === 'NotYet' ? 200 : 409,
        title: nameOf(found),
        sentences: [`It is over: resolved at ${time(found.at)} by ${found.by}. There is nothing to acknowledge.`],
      };
    case 'Acknowledged':
      return pressed === 'Done'
        ? { status: 200, title: nameOf(found), sentences: ['It is yours. Nobody else is called from now on.'] }
        : {
            status: pressed === 'NotYet' ? 200 : 409,
            title: nameOf(found),
            sentences: [`It is acknowledged already: ${found.by} was first, at ${time(found.at)}.`],
          };
    case 'Open':
      return {
        status: 200,
        title: nameOf(found),
        sentences: [
          `Open since ${time(found.about.openedAt)}. ${found.receiver} was paged.`,
          'Acknowledging says that you look at it now. Nobody else is called then.',
        ],
        button: true,
      };
  }
}

function nameOf({ about }: { about: { severity: string; title: string } }): string {
  return `${about.severity} ${about.title}`;
}

/** `2026-01-05 12:00:09 UTC` */
function time(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
}
