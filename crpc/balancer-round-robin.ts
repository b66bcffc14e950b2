/** Load balancer: each endpoint in turn. */
import type { experimental } from '@grpc/grpc-js';
import { registerBalancer } from './balancer.ts';
import type { ReadyEndpoint } from './balancer.ts';

export const ROUND_ROBIN = 'crpc_round_robin';

class RoundRobinPicker implements experimental.Picker {
  readonly #ready: readonly ReadyEndpoint[];
  #next: number;

  constructor(ready: readonly ReadyEndpoint[]) {
    this.#ready = ready;
    // A random start, or every client would begin with the same endpoint.
    this.#next = Math.floor(Math.random() * ready.length);
  }

  pick(args: experimental.PickArgs): experimental.PickResult {
    const chosen = this.#ready[this.#next] as ReadyEndpoint;
    this.#next = (this.#next + 1) % this.#ready.length;
    return chosen.picker.pick(args);
  }
}

export function setup(): void {
  registerBalancer(ROUND_ROBIN, (ready) => new RoundRobinPicker(ready));
}
