/** Watches of the registry for a gateway's workers: state nodes, signing keys, ticket keys. */
import type { Registry, Snapshot, Unwatch } from '../../crpc/mod.ts';
import { DEFAULT_MAX_TEXT_BYTES, MAX_TEXT_BYTES_KEY } from '../../proto/mod.ts';
import type { ToWorker } from './control.ts';
import type { StateNode } from '../route/state-link.ts';
import { TicketKeys } from '../login/ticket-keys.ts';

const STATE_SERVICE = 'state';
const IPCONF_SERVICE = 'ipconf';
const KEYS = 'jwks';

export interface RegistryFeedOptions {
  readonly registry: Registry;
  /** Whether to watch the ipconf nodes' keys as well. */
  readonly tickets: boolean;
  /** Called with each change. */
  readonly tell: (message: ToWorker) => void;
}

export class RegistryFeed {
  readonly #options: RegistryFeedOptions;
  #nodes: readonly StateNode[] = [];
  #keys: string | undefined;
  readonly #ticketKeys = new TicketKeys();
  #unwatch: Unwatch[] = [];

  constructor(options: RegistryFeedOptions) {
    this.#options = options;
  }

  /** Whether signing keys are known. */
  get hasKeys(): boolean {
    return this.#keys !== undefined;
  }

  /** The current state, for a worker that has just started. */
  get messages(): ToWorker[] {
    const messages: ToWorker[] = [{ kind: 'nodes', nodes: this.#nodes }];
    if (this.#keys !== undefined) messages.unshift({ kind: 'keys', jwks: this.#keys });
    if (this.#options.tickets) messages.unshift({ kind: 'ticket-keys', jwks: this.#ticketKeys.jwks });
    return messages;
  }

  start(): void {
    const { registry, tickets, tell } = this.#options;
    this.#unwatch = [
      registry.watch(STATE_SERVICE, this.#onStateNodes),
      registry.follow(KEYS, (jwks) => {
        this.#keys = jwks;
        if (jwks !== undefined) tell({ kind: 'keys', jwks });
      }),
      ...(tickets ? [registry.watch(IPCONF_SERVICE, this.#onIpconfs)] : []),
    ];
  }

  stop(): void {
    for (const unwatch of this.#unwatch) unwatch();
    this.#unwatch = [];
  }

  readonly #onStateNodes = ({ endpoints }: Snapshot): void => {
    const known = new Set(this.#nodes.map(({ id }) => id));
    this.#nodes = endpoints.map(({ id, address, metadata }) => ({
      id,
      address,
      maxTextBytes: Number(metadata[MAX_TEXT_BYTES_KEY] ?? DEFAULT_MAX_TEXT_BYTES),
    }));
    // Load figures change all the time and are of no interest here.
    if (this.#nodes.length === known.size && this.#nodes.every(({ id }) => known.has(id))) return;
    this.#options.tell({ kind: 'nodes', nodes: this.#nodes });
  };

  readonly #onIpconfs = ({ endpoints }: Snapshot): void => {
    if (!this.#ticketKeys.update(endpoints, performance.now())) return;
    this.#options.tell({ kind: 'ticket-keys', jwks: this.#ticketKeys.jwks });
  };
}
