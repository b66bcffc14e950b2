/** Light or dark: the system's until one chooses. */
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'gochat-theme';
export const theme = signal<Theme>('system');

/** Shows what was chosen. */
export function applyTheme(): void {
  const stored = localStorage.getItem(KEY);
  theme.value = stored === 'light' || stored === 'dark' ? stored : 'system';
  const { dataset } = document.documentElement;
  if (theme.value === 'system') delete dataset['theme'];
  else dataset['theme'] = theme.value;
}

export function chooseTheme(chosen: Theme): void {
  localStorage.setItem(KEY, chosen);
  applyTheme();
}

/** Chooses the other of light and dark. */
export function toggleTheme(): void {
  const isDark =
    theme.value === 'system' ? matchMedia('(prefers-color-scheme: dark)').matches : theme.value === 'dark';
  chooseTheme(isDark ? 'light' : 'dark');
}
