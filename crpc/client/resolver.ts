/** grpc-js resolvers for etcd:///service, memory:///service (both over a Registry) and static:///host:port,… targets. */
import { experimental, status as GrpcCode } from '@grpc/grpc-js';
import type { ChannelOptions } from '@grpc/grpc-js';
import { CrpcError } from '../errors.ts';
import type { Endpoint, Registry, Snapshot, Unwatch } from '../registry/registry.ts';

type GrpcEndpoint = experimental.Endpoint;

/** Channel option that carries the Registry of a target. */
export const REGISTRY_OPTION = 'crpc.registry';

/** Registry entries of endpoints, for the balancers: grpc-js passes its own objects through unchanged. */
const facts = new WeakMap<GrpcEndpoint, Endpoint>();

/** Returns the registered endpoint of one of grpc-js's. */
export function factsOf(endpoint: GrpcEndpoint): Endpoint | undefined {
  return facts.get(endpoint);
}

let isSetUp = false;

/** Registers the schemes with grpc-js. Idempotent. */
export function setupResolvers(): void {
  if (isSetUp) return;
  isSetUp = true;
  experimental.registerResolver('etcd', RegistryResolver);
  experimental.registerResolver('memory', RegistryResolver);
  experimental.registerResolver('static', StaticResolver);
}

/** Follows a service in a registry. */
class RegistryResolver implements experimental.Resolver {
  readonly #service: string;
  readonly #listener: experimental.ResolverListener;
  readonly #registry: Registry;
  #unwatch: Unwatch | undefined;
  #told: ReadonlyMap<string, Endpoint> | undefined;

  constructor(
    target: experimental.GrpcUri,
    listener: experimental.ResolverListener,
    options: ChannelOptions,
  ) {
    this.#service = serviceOf(target);
    this.#listener = listener;
    this.#registry = options[REGISTRY_OPTION] as Registry;
  }

  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return serviceOf(target);
  }

  updateResolution(): void {
    this.#unwatch ??= this.#registry.watch(this.#service, (snapshot) => this.#report(snapshot));
  }

  destroy(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#told = undefined;
  }

  #report(snapshot: Snapshot): void {
    const byAddress = new Map<string, Endpoint>();
    for (const endpoint of snapshot.endpoints) byAddress.set(endpoint.address, endpoint);
    if (this.#told !== undefined && isSame(this.#told, byAddress)) return;
    this.#told = byAddress;
    if (byAddress.size === 0) {
      const note = snapshot.stale ? 'the registry cannot be reached' : 'none is registered';
      this.#listener(
        experimental.statusOrFromError({
          code: GrpcCode.UNAVAILABLE,
          details: `no endpoint of ${this.#service}: ${note}`,
        }),
        {},
        null,
        note,
      );
      return;
    }
    this.#listener(experimental.statusOrFromValue([...byAddress.values()].map(toGrpcEndpoint)), {}, null, '');
  }
}

/** Compares endpoints without their load figures, which change all the time and do not concern a channel. */
function isSame(before: ReadonlyMap<string, Endpoint>, after: ReadonlyMap<string, Endpoint>): boolean {
  if (before.size !== after.size) return false;
  for (const [address, { id, weight, zone }] of after) {
    const old = before.get(address);
    if (old === undefined || old.id !== id || old.weight !== weight || old.zone !== zone) return false;
  }
  return true;
}

/** Takes the addresses from the target itself. */
class StaticResolver implements experimental.Resolver {
  readonly #endpoints: GrpcEndpoint[];
  readonly #listener: experimental.ResolverListener;
  #told = false;

  constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener) {
    this.#listener = listener;
    this.#endpoints = serviceOf(target)
      .split(',')
      .map((address) => toGrpcEndpoint(staticEndpoint(address)));
  }

  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return serviceOf(target).split(',')[0] ?? '';
  }

  updateResolution(): void {
    if (this.#told) return;
    this.#told = true;
    setImmediate(() => this.#listener(experimental.statusOrFromValue(this.#endpoints), {}, null, ''));
  }

  destroy(): void {
    this.#told = false;
  }
}

function serviceOf(target: experimental.GrpcUri): string {
  return target.path.replace(/^\/+/, '');
}

function staticEndpoint(address: string): Endpoint {
  return { id: address, address, weight: 1, zone: '', version: '', metadata: {}, load: {} };
}

function toGrpcEndpoint(endpoint: Endpoint): GrpcEndpoint {
  const address = experimental.splitHostPort(endpoint.address);
  if (address?.port === undefined)
    throw new CrpcError('CONFIG_INVALID', { details: { what: `${endpoint.address} is not host:port.` } });
  const made = { addresses: [{ host: address.host, port: address.port }] };
  facts.set(made, endpoint);
  return made;
}
