/**
 * Sanitizing of other people's text for the terminal: it cannot move the cursor, forge a line or change the direction.
 */

// C0 and C1 controls and DEL (escape sequences begin with them); the bidirectional overrides; line separators.
// oxlint-disable-next-line no-control-regex -- Control characters are what it is for.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;
// oxlint-disable-next-line no-control-regex -- As above.
const UNSAFE_IN_JSON = /[\u007f-\u009f]/gu;

/** Returns the text on one line: line breaks as ⏎, tabs as spaces, other controls as �. */
export function sanitize(text: string): string {
  return text
    .replace(/\r\n|[\n\r\u2028\u2029]/gu, ' ⏎ ')
    .replaceAll('\t', '  ')
    .replace(UNSAFE, '\ufffd');
}

/** Encodes JSON that is safe to print: JSON.stringify escapes only C0, and terminals may obey C1 controls too. */
export function toSafeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    UNSAFE_IN_JSON,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
