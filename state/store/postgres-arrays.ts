/** Array parameters for PostgreSQL as array literals, which cost the driver one string instead of a call per value. */

const SPECIAL = /["\\]/;
const EACH_SPECIAL = /["\\]/g;

/** Returns the literal of an integer array; for a parameter with the cast ::text::bigint[]. */
export function integerArray(values: readonly (bigint | number)[]): string {
  return `{${values.join(',')}}`;
}

/** Returns the literal of a text array, each element quoted; for a parameter with the cast ::text::text[]. */
export function textArray(values: readonly string[]): string {
  let literal = '{';
  for (const value of values) {
    if (literal.length > 1) literal += ',';
    literal += SPECIAL.test(value) ? `"${value.replace(EACH_SPECIAL, '\\$&')}"` : `"${value}"`;
  }
  return `${literal}}`;
}
