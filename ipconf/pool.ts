/** A pool: gateways that a request may be sent to, drawn at random by the room they have. */
import type { Alternates } from './draw.ts';
import type { Gateway } from './gateway.ts';
import type { Homes } from './homes.ts';

/** Holds for one tick: the weights are those of its making. */
export class Pool {
  readonly gateways: readonly Gateway[];
  readonly #cumulative: Float64Array;
  readonly #total: number;
  /** Score of the gateways, averaged by their share. */
  readonly mean: number;
  /** Which users belong to which of the gateways; set when somebody first asks. */
  homes: Homes | undefined;
  /** What users whose home is here are told after it, by how many gateways that are. */
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

  /** Nothing can be drawn: there is no gateway, or none with room. */
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
