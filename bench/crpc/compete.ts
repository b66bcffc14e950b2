/** Candidates measured in turns in one run, so that what disturbs one disturbs all. */
import type { Row } from './report.ts';

export interface Timing {
  readonly rounds: number;
  /** Measured time of one candidate in one round, ms. */
  readonly ms: number;
}

/** Works for `ms` and returns a rate per second. */
export type Contender = (ms: number) => Promise<number>;

/** Returns the CPU time that all processes of the bench have used, s. */
export type CpuClock = () => Promise<number>;

/** One value per round. */
export interface Rates {
  readonly perSecond: number[];
  /** By the CPU time of client and server: other programs on the machine hardly disturb it. */
  readonly perCpuSecond: number[];
}

/** Returns the rates of each candidate; an extra round comes first, as a warm-up. */
export async function compete<K extends string>(
  contenders: Readonly<Record<K, Contender>>,
  { rounds, ms }: Timing,
  cpu: CpuClock,
): Promise<Record<K, Rates>> {
  const names = Object.keys(contenders) as K[];
  const rates = Object.fromEntries(
    names.map((name): [string, Rates] => [name, { perSecond: [], perCpuSecond: [] }]),
  ) as Record<K, Rates>;
  for (const name of names) await contenders[name](ms);
  for (let round = 0; round < rounds; round++) {
    // The order is reversed every time, so that it does not matter.
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const [begin, cpuBegin] = [performance.now(), await cpu()];
      const rate = await contenders[name](ms);
      const [seconds, cpuSeconds] = [(performance.now() - begin) / 1000, (await cpu()) - cpuBegin];
      rates[name].perSecond.push(rate);
      rates[name].perCpuSecond.push((rate * seconds) / cpuSeconds);
    }
  }
  return rates;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

/** Rows of a ratio, by time and by CPU time: the medians of the rounds' ratios, as each round ran side by side. */
export function ratioRows(what: string, of: Rates, to: Rates, wanted: Partial<Row>): Row[] {
  const ratio = (key: keyof Rates): number =>
    median(of[key].map((value, round) => value / (to[key][round] as number)));
  return [
    { what, value: ratio('perSecond'), ...wanted },
    { what: `  by CPU time`, value: ratio('perCpuSecond'), ...wanted },
  ];
}

/** Calls with a fixed number in flight until the time is over; returns calls per second. */
export async function callRate(call: () => Promise<unknown>, ms: number, concurrency = 64): Promise<number> {
  let calls = 0;
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (performance.now() - begin < ms) {
        await call();
        calls++;
      }
    }),
  );
  return (calls / (performance.now() - begin)) * 1000;
}
