/** Figures as a table. */
export interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit?: string;
  /** The goal; other figures explain it. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** Returns whether the row meets its goal; undefined: it has none. */
export function holds({ value, atLeast, atMost }: Row): boolean | undefined {
  if (atLeast !== undefined) return value >= atLeast;
  return atMost === undefined ? undefined : value <= atMost;
}

export function line(row: Row): string {
  const { what, value, unit = '', atLeast, atMost } = row;
  const digits = value < 20 ? 2 : 0;
  const shown = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const wanted = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  const verdict = holds(row) === undefined ? '' : `wanted ${wanted}: ${holds(row) ? 'yes' : 'NO'}`;
  return `${what.padEnd(58)} ${shown.padStart(12)} ${unit.padEnd(10)} ${verdict}`.trimEnd();
}
