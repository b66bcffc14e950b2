/** Two versions measured in pairs of short rounds: the ratio, its confidence interval, and the stopping rule. */

/** Stopping rule for pairs. */
export interface StoppingRule {
  readonly leastPairs: number;
  readonly mostPairs: number;
  /** Width of the interval, upper end minus lower. */
  readonly width: number;
}

/** A ratio with its 95 % confidence interval. */
export interface Estimate {
  readonly ratio: number;
  readonly lower: number;
  readonly upper: number;
}

/** One pair of rounds. */
export interface Pair<Round> {
  readonly now: Round;
  readonly before: Round;
}

/** 97.5 % quantile of the standard normal distribution. */
const Z = 1.959964;

/** Returns the geometric mean of the ratios, with Student's interval on their logarithms; unbounded for one ratio. */
export function estimate(ratios: readonly number[]): Estimate {
  const logs = ratios.map(Math.log);
  const mean = logs.reduce((sum, each) => sum + each, 0) / logs.length;
  const freedom = logs.length - 1;
  if (freedom < 1) return { ratio: Math.exp(mean), lower: 0, upper: Number.POSITIVE_INFINITY };
  const variance = logs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / freedom;
  const margin = studentT(freedom) * Math.sqrt(variance / logs.length);
  return { ratio: Math.exp(mean), lower: Math.exp(mean - margin), upper: Math.exp(mean + margin) };
}

/** Returns whether the interval of these ratios is as narrow as the rule demands. */
export function isSettled(ratios: readonly number[], { leastPairs, width }: StoppingRule): boolean {
  if (ratios.length < leastPairs) return false;
  const { lower, upper } = estimate(ratios);
  return upper - lower <= width;
}

/**
 * Measures pair after pair until the rule is content: now before, before now, now before… so that a drift of the machine
 * weighs on both alike.
 */
export async function measurePairs<Round>(
  measure: (which: keyof Pair<Round>) => Promise<Round>,
  ratioOf: (pair: Pair<Round>) => number,
  rule: StoppingRule,
  onPair: (pairs: readonly Pair<Round>[]) => void,
): Promise<readonly Pair<Round>[]> {
  const pairs: Pair<Round>[] = [];
  while (pairs.length < rule.mostPairs && !isSettled(pairs.map(ratioOf), rule)) {
    if (pairs.length % 2 === 0) {
      const now = await measure('now');
      pairs.push({ now, before: await measure('before') });
    } else {
      const before = await measure('before');
      pairs.push({ now: await measure('now'), before });
    }
    onPair(pairs);
  }
  return pairs;
}

/**
 * Returns Student's t, 97.5 %: exact for 1 and 2 degrees of freedom, beyond them Cornish and Fisher's expansion, which
 * is right to a percent for 3 and to four digits from 10 on.
 *
 * @see Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5
 */
function studentT(freedom: number): number {
  if (freedom === 1) return 12.7062;
  if (freedom === 2) return 4.30265;
  const terms = [
    Z,
    (Z ** 3 + Z) / 4,
    (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / 96,
    (3 * Z ** 7 + 19 * Z ** 5 + 17 * Z ** 3 - 15 * Z) / 384,
    (79 * Z ** 9 + 776 * Z ** 7 + 1482 * Z ** 5 - 1920 * Z ** 3 - 945 * Z) / 92_160,
  ];
  return terms.reduce((sum, term, power) => sum + term / freedom ** power, 0);
}
