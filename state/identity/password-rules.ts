/** What a new password must be: neither short nor one that is guessed first (NIST SP 800-63B, 3.1.1.2). */
import { GochatError } from '../../common/mod.ts';

export const MIN_PASSWORD_CHARACTERS = 8;
export const MAX_PASSWORD_CHARACTERS = 128;

/** @throws GochatError PASSWORD_WEAK, PASSWORD_COMMON */
export async function checkNewPassword(password: string, name: string): Promise<void> {
  const length = characters(password);
  if (length < MIN_PASSWORD_CHARACTERS || length > MAX_PASSWORD_CHARACTERS)
    throw new GochatError('PASSWORD_WEAK');
  const plain = password.normalize('NFC').toLowerCase();
  if (plain === name || (await commonPasswords()).has(plain)) throw new GochatError('PASSWORD_COMMON');
}

/** Counts code points, but not of very long texts. */
export function characters(text: string): number {
  if (text.length > MAX_PASSWORD_CHARACTERS * 2) return text.length;
  return text.replaceAll(/[\ud800-\udbff][\udc00-\udfff]/g, '.').length;
}

let common: Promise<ReadonlySet<string>> | undefined;

/** Loads the list, some 18,000 that are long enough, when it is first needed. */
function commonPasswords(): Promise<ReadonlySet<string>> {
  common ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) =>
      new Set(dictionary['passwords-common'].filter(({ length }) => length >= MIN_PASSWORD_CHARACTERS)),
  );
  return common;
}
