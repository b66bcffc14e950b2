/** The texts of the page, in the language that one has chosen, else the browser's. */
import { signal } from '@preact/signals';
import { chooseLanguage, en, LANGUAGES, type Language, loadTexts } from '../../texts/mod.ts';

const KEY = 'gochat-language';
const texts = signal(en);

/** Returns the texts; a component that calls it is drawn anew when they change. */
export function t(): typeof en {
  return texts.value;
}

export function languageOf(): Language {
  return texts.value.language as Language;
}

export async function useBrowserTexts(): Promise<void> {
  const chosen = localStorage.getItem(KEY);
  await show(chooseLanguage(chosen === null ? navigator.languages : [chosen]));
}

export async function chooseTexts(language: Language): Promise<void> {
  localStorage.setItem(KEY, language);
  await show(language);
}

async function show(language: Language): Promise<void> {
  texts.value = await loadTexts(language);
  document.documentElement.lang = language;
}

export { LANGUAGES, type Language };
