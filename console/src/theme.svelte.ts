/** Light or dark: as the system has it, until somebody says otherwise on this machine. */
const choices = ['system', 'light', 'dark'] as const;
export type Theme = (typeof choices)[number];

const stored = localStorage.getItem('theme');
export const theme = $state<{ now: Theme }>({ now: choices.find((choice) => choice === stored) ?? 'system' });

export function applyTheme(): void {
  if (theme.now === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.now;
}

export function setTheme(choice: Theme): void {
  theme.now = choice;
  localStorage.setItem('theme', choice);
  applyTheme();
}

export const nextTheme = () => setTheme(choices[(choices.indexOf(theme.now) + 1) % choices.length] ?? 'system');
