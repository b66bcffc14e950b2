/** The catalogue of texts for all clients: English, and each other language as one file that is loaded when it is used. */
import { en, type Texts } from './en.ts';

export { en, type Texts };
export { terminalEn } from './terminal-en.ts';

/** Languages, and how they call themselves. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' } as const;
export type Language = keyof typeof LANGUAGES;

/** Returns the first of the wanted languages (BCP 47 tags) that there is. */
export function chooseLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0] ?? '';
    if (language in LANGUAGES) return language as Language;
  }
  return 'en';
}

/** Returns the texts of a language. */
export async function loadTexts(language: Language): Promise<Texts> {
  return language === 'de' ? (await import('./de.ts')).de : en;
}
