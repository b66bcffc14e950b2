/** Arrays to and from PostgreSQL as array literals, which cost the driver one string instead of a call per value. */

const SPECIAL = /["\\]/;
const EACH_SPECIAL = /["\\]/g;

/** Returns the literal of an integer array, for a parameter that is cast to bigint[]. */
export function integerArray(values: readonly (bigint | number)[]): string {
  return `{${values.join(',')}}`;
}

/** Returns the literal of a text array, for a parameter that is cast to text[]. */
export function textArray(values: readonly string[]): string {
  let literal = '{';
  for (const value of values) {
    if (literal.length > 1) literal += ',';
    literal += SPECIAL.test(value) ? `"${value.replace(EACH_SPECIAL, '\\$&')}"` : `"${value}"`;
  }
  return `${literal}}`;
}

/** Returns the decimal numbers of an integer array's literal; the array has one dimension. A null is NULL. */
export function parseIntegerArray(literal: string): string[] {
  return literal === '{}' ? [] : literal.slice(1, -1).split(',');
}
