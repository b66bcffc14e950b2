/** Arrays to and from PostgreSQL as array literals, which cost the driver one string instead of a call per value. */

const SPECIAL = /["\\]/;
const EACH_SPECIAL = /["\\]/g;

/** Returns the literal of an integer array, for a parameter that is cast to bigint[]. */
export function integerArray(values: readonly (bigint | number)[]): string {
  return `{${values.join(',')}}`;
}

/** As integerArray; null becomes NULL. */
export function nullableIntegerArray(values: readonly (bigint | number | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}

/** Returns the literal of a text array, for a parameter that is cast to text[]; null becomes NULL. */
export function textArray(values: readonly (string | null)[]): string {
  let literal = '{';
  for (const value of values) {
    if (literal.length > 1) literal += ',';
    if (value === null) literal += 'NULL';
    else literal += SPECIAL.test(value) ? `"${value.replace(EACH_SPECIAL, '\\$&')}"` : `"${value}"`;
  }
  return `${literal}}`;
}

/** Returns the decimal numbers of an integer array's literal; the array has one dimension. A null is NULL. */
export function parseIntegerArray(literal: string): string[] {
  return literal === '{}' ? [] : literal.slice(1, -1).split(',');
}
