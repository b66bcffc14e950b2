/** A pool: the gateways for a kind of request, drawn at random by their room. */
import type { Alternates } from './draw.ts';
import type { Gateway } from './gateway.ts';
import type { Homes } from './homes.ts';

/** A pool is valid for one tick; its weights are those of its creation. */
export class Pool {
  readonly gateways: readonly Gateway[];
  readonly #cumulative: Float64Array;
  readonly #total: number;
  /** Mean score of the gateways, weighted by share. */
  readonly mean: number;
  /** The homes of users; set on first use. */
  homes: Homes | undefined;
  /** Alternates for users whose home is here, by the number of gateways. */
  readonly alternates: (Alternates | undefined)[][] = [];

  constructor(gateways: readonly Gateway[]) {
    this.gateways = gateways;
    this.#cumulative = new Float64Array(gateways.length);
    let [total, share] = [0, 0];
    for (const [i, gateway] of gateways.entries()) {
      total += gateway.score * gateway.share;
      share += gateway.share;
      this.#cumulative[i] = total;
    }
    this.#total = total;
    this.mean = share === 0 ? 0 : total / share;
  }

  /** Whether nothing can be drawn: there is no gateway, or none with room. */
  get isEmpty(): boolean {
    return this.#total <= 0;
  }

  /** Returns the gateway at a point from 0 (included) to 1; the pool must not be empty. */
  draw(point: number): Gateway {
    const at = point * this.#total;
    const cumulative = this.#cumulative;
    let low = 0;
    let high = cumulative.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((cumulative[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return this.gateways[low] as Gateway;
  }
}
