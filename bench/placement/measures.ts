/** Measures of a run: the evenness of the utilisation, second by second. */
import type { SimGateway } from './world.ts';

/** Mean utilisation below which single clients decide, so that the ratio means nothing. Share. */
export const MIN_MEAN = 0.05;
/** A fleet counts as balanced within this ratio. */
export const BALANCED = 1.05;

export interface Measures {
  /** Highest max/mean utilisation of any second that counts; NaN if none does. */
  readonly worst: number;
  /** max/mean in the last second. */
  readonly final: number;
  /** 99.9th percentile of utilisation/mean over all gateways and seconds. */
  readonly p999: number;
  /** Mean change of utilisation/mean of a gateway from one second to the next; percent. */
  readonly oscillation: number;
  /** Seconds from the end of the disturbance until max/mean stays within BALANCED; Infinity: not within the run. */
  readonly balancedAfter: number;
  /** Highest share of the clients that are on a gateway beyond its fair share; percent. */
  readonly misplaced: number;
  /** The same in the last second; percent. */
  readonly misplacedAtEnd: number;
  /** Attempts that met a dead or full gateway, per client placed; percent. */
  readonly failed: number;
  /** max/mean of each second, NaN where it does not count. */
  readonly series: readonly number[];
}

/** Gathers one sample a second. */
export class Measure {
  readonly #from: number;
  readonly #until: number;
  readonly #series: number[] = [];
  readonly #ratios: number[] = [];
  readonly #previous = new Map<SimGateway, number>();
  #moved = 0;
  #moves = 0;
  #misplaced = 0;
  #misplacedNow = 0;

  /**
   * @param from second from which the run counts: the disturbance
   * @param until second in which the disturbance is over: balance counts from there
   */
  constructor(from: number, until: number) {
    this.#from = from;
    this.#until = until;
  }

  sample(second: number, gateways: readonly SimGateway[]): void {
    let [connections, capacity] = [0, 0];
    const live = gateways.filter(({ isAlive, isDraining }) => isAlive && !isDraining);
    for (const gateway of live) {
      connections += gateway.connections;
      capacity += gateway.capacity * gateway.speed;
    }
    const mean = connections / capacity;
    if (!(mean >= MIN_MEAN) || second < this.#from) {
      this.#series.push(Number.NaN);
      return;
    }
    let [max, excess] = [0, 0];
    for (const gateway of live) {
      const room = gateway.capacity * gateway.speed;
      const ratio = gateway.connections / room / mean;
      max = Math.max(max, ratio);
      excess += Math.max(0, gateway.connections - mean * room);
      this.#ratios.push(ratio);
      const before = this.#previous.get(gateway);
      if (before !== undefined) {
        this.#moved += Math.abs(ratio - before);
        this.#moves++;
      }
      this.#previous.set(gateway, ratio);
    }
    this.#misplacedNow = excess / connections;
    this.#misplaced = Math.max(this.#misplaced, this.#misplacedNow);
    this.#series.push(max);
  }

  result(failedAttempts: number, asked: number): Measures {
    const counted = this.#series.filter((value) => !Number.isNaN(value));
    const lastUneven = this.#series.findLastIndex((value) => value > BALANCED);
    const isBalanced = counted.length > 0 && lastUneven < this.#series.length - 1;
    const ratios = Float64Array.from(this.#ratios).sort();
    return {
      worst: counted.length === 0 ? Number.NaN : Math.max(...counted),
      final: counted.at(-1) ?? Number.NaN,
      p999: ratios[Math.min(ratios.length - 1, Math.floor(ratios.length * 0.999))] ?? Number.NaN,
      oscillation: this.#moves === 0 ? 0 : (100 * this.#moved) / this.#moves,
      balancedAfter: isBalanced ? Math.max(0, lastUneven + 1 - this.#until) : Infinity,
      misplaced: 100 * this.#misplaced,
      misplacedAtEnd: 100 * this.#misplacedNow,
      failed: asked === 0 ? 0 : (100 * failedAttempts) / asked,
      series: this.#series,
    };
  }
}
