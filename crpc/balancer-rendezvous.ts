/** Load balancer: calls with the same key (metadata `crpc-key`) go to the same endpoint as long as it is there. */
import type { experimental } from '@grpc/grpc-js';
import { registerBalancer } from './balancer.ts';
import type { ReadyEndpoint } from './balancer.ts';
import { Rendezvous, hashKey } from './rendezvous.ts';

export const RENDEZVOUS = 'crpc_rendezvous';
/** Metadata key of the call's routing key. */
export const KEY_METADATA = 'crpc-key';

class RendezvousPicker implements experimental.Picker {
  readonly #ready: readonly ReadyEndpoint[];
  readonly #chooser: Rendezvous;

  constructor(ready: readonly ReadyEndpoint[]) {
    this.#ready = ready;
    this.#chooser = new Rendezvous(ready.map(({ endpoint }) => endpoint.id));
  }

  pick(args: experimental.PickArgs): experimental.PickResult {
    const [key] = args.metadata.get(KEY_METADATA);
    let index: number;
    if (typeof key === 'string') {
      const { hi, lo } = hashKey(key);
      index = this.#chooser.pick(hi, lo);
    } else index = Math.floor(Math.random() * this.#ready.length);
    return (this.#ready[index] as ReadyEndpoint).picker.pick(args);
  }
}

export function setup(): void {
  registerBalancer(RENDEZVOUS, (ready) => new RendezvousPicker(ready));
}
