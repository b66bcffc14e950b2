/** What crpc's load balancers share: a connection to every endpoint, kept across updates, and a picker over the ready ones. */
import { connectivityState, experimental } from '@grpc/grpc-js';
import type { ChannelOptions } from '@grpc/grpc-js';
import type { Endpoint } from './registry.ts';
import { factsOf } from './resolver.ts';

/** An endpoint that calls can be sent to. */
export interface ReadyEndpoint {
  readonly endpoint: Endpoint;
  readonly picker: experimental.Picker;
}

/** A strategy: makes the picker for a set of ready endpoints (at least one). */
export type MakePicker = (
  ready: readonly ReadyEndpoint[],
  previous: experimental.Picker | undefined,
) => experimental.Picker;

interface Child {
  readonly leaf: experimental.LeafLoadBalancer;
  endpoint: Endpoint;
}

/** Registers a balancer with grpc-js under a name; `loadBalancingConfig` of a service config then chooses it. */
export function registerBalancer(name: string, makePicker: MakePicker): void {
  class Config implements experimental.TypedLoadBalancingConfig {
    getLoadBalancerName(): string {
      return name;
    }
    toJsonObject(): object {
      return { [name]: {} };
    }
    static createFromJson(): Config {
      return new Config();
    }
  }
  class Balancer extends EndpointBalancer {
    constructor(helper: experimental.ChannelControlHelper) {
      super(name, makePicker, helper);
    }
  }
  experimental.registerLoadBalancerType(name, Balancer, Config);
}

/** Keeps one connection per endpoint. An update touches only the endpoints that came or went. */
class EndpointBalancer implements experimental.LoadBalancer {
  readonly #name: string;
  readonly #makePicker: MakePicker;
  readonly #helper: experimental.ChannelControlHelper;
  readonly #childHelper: experimental.ChannelControlHelper;
  readonly #children = new Map<string, Child>();
  #picker: experimental.Picker | undefined;
  #lastError = '';
  #updating = false;
  #scheduled = false;
  #destroyed = false;

  constructor(name: string, makePicker: MakePicker, helper: experimental.ChannelControlHelper) {
    this.#name = name;
    this.#makePicker = makePicker;
    this.#helper = helper;
    this.#childHelper = experimental.createChildChannelControlHelper(helper, {
      updateState: (state, _picker, error) => {
        if (error !== null) this.#lastError = error;
        // Many endpoints change in one go when a channel starts or a rack fails: one new picker serves them all.
        if (this.#updating || this.#scheduled) return;
        if (this.#children.size <= 8) return this.#report();
        this.#scheduled = true;
        setImmediate(() => {
          this.#scheduled = false;
          if (!this.#destroyed) this.#report();
        });
        void state;
      },
    });
  }

  updateAddressList(
    list: experimental.StatusOr<experimental.Endpoint[]>,
    _config: experimental.TypedLoadBalancingConfig,
    options: ChannelOptions,
    note: string,
  ): boolean {
    this.#updating = true;
    if (list.ok) this.#replace(list.value, options, note);
    else {
      // The registry says that there is none: unlike a resolver that failed, this is an answer.
      this.#lastError = list.error.details;
      this.#replace([], options, note);
    }
    this.#updating = false;
    this.#report();
    return true;
  }

  exitIdle(): void {
    for (const { leaf } of this.#children.values()) leaf.exitIdle();
  }

  resetBackoff(): void {
    // The connections have their own backoff.
  }

  destroy(): void {
    this.#destroyed = true;
    for (const { leaf } of this.#children.values()) leaf.destroy();
    this.#children.clear();
  }

  getTypeName(): string {
    return this.#name;
  }

  #replace(endpoints: readonly experimental.Endpoint[], options: ChannelOptions, note: string): void {
    const gone = new Set(this.#children.keys());
    for (const made of endpoints) {
      const endpoint = factsOf(made);
      if (endpoint === undefined) continue;
      gone.delete(endpoint.address);
      const child = this.#children.get(endpoint.address);
      if (child !== undefined) {
        child.endpoint = endpoint;
        continue;
      }
      const leaf = new experimental.LeafLoadBalancer(made, this.#childHelper, options, note);
      this.#children.set(endpoint.address, { leaf, endpoint });
      leaf.startConnecting();
    }
    for (const address of gone) {
      this.#children.get(address)?.leaf.destroy();
      this.#children.delete(address);
    }
  }

  #report(): void {
    const ready: ReadyEndpoint[] = [];
    let isConnecting = false;
    for (const { leaf, endpoint } of this.#children.values()) {
      const state = leaf.getConnectivityState();
      if (state === connectivityState.READY) ready.push({ endpoint, picker: leaf.getPicker() });
      else if (state === connectivityState.IDLE) leaf.exitIdle();
      isConnecting ||= state === connectivityState.CONNECTING || state === connectivityState.IDLE;
    }
    if (ready.length > 0) {
      this.#picker = this.#makePicker(ready, this.#picker);
      this.#helper.updateState(connectivityState.READY, this.#picker, null);
    } else if (isConnecting) {
      this.#helper.updateState(connectivityState.CONNECTING, new experimental.QueuePicker(this), null);
    } else {
      const details = `${this.#name}: no connection. ${this.#lastError}`;
      this.#helper.updateState(
        connectivityState.TRANSIENT_FAILURE,
        new experimental.UnavailablePicker({ details }),
        details,
      );
    }
  }
}
