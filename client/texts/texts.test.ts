import { expect, test } from 'vitest';
import { chooseLanguage, en, LANGUAGES, type Language, loadTexts } from './mod.ts';

test.each(Object.keys(LANGUAGES) as Language[])('%s: has every text, and none is empty', async (language) => {
  const texts = await loadTexts(language);
  expect(texts.language).toBe(language);
  expect(Object.keys(texts).toSorted()).toEqual(Object.keys(en).toSorted());
  const visit = (value: unknown): void => {
    if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit);
    else expect(value).not.toBe('');
  };
  visit(texts);
});

test('the first language that there is: is chosen, else English', () => {
  expect(chooseLanguage(['fr-FR', 'de-AT', 'en'])).toBe('de');
  expect(chooseLanguage(['fr'])).toBe('en');
});
