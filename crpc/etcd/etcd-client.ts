/**
 * A thin client of etcd's v3 API: every call has a deadline, and every failure is REGISTRY_UNREACHABLE with a cause.
 */
import { CrpcError, GrpcStatus } from '../errors.ts';
import { Channel } from '../client/channel.ts';
import { createClient } from '../client/client.ts';
import type { TlsOptions } from '../client/credentials.ts';
import type { CallOptions, CrpcClient } from '../client/client.ts';
import { AuthService, KVService, LeaseService, WatchService } from './gen/etcd.ts';
import type { KeyValue, TxnRequest, WatchResponse } from './gen/etcd.ts';

const CALL_TIMEOUT_MS = 3000;
/** etcd refuses clients that ping more often than every 5 s. */
const KEEPALIVE_INTERVAL_MS = 7000;
const KEEPALIVE_TIMEOUT_MS = 3000;
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

export interface EtcdClientOptions {
  /** host:port of each member. */
  readonly hosts: readonly string[];
  readonly user?: string;
  readonly password?: string;
  /** Undefined: plain text. */
  readonly tls?: Pick<TlsOptions, 'ca' | 'cert' | 'key'> | undefined;
}

/** All keys under a prefix, with the revision at which they were read. */
export interface RangeResult {
  readonly kvs: readonly KeyValue[];
  readonly revision: bigint;
  readonly clusterId: bigint;
}

/** A key or, with `end`, the keys from it up to `end`. */
export interface KeyRange {
  readonly key: Buffer;
  readonly end: Buffer;
}

/** The calls that the registry makes. */
export class EtcdClient {
  readonly url: string;
  readonly #options: EtcdClientOptions;
  readonly #channel: Channel;
  readonly #kv: CrpcClient<typeof KVService>;
  readonly #watch: CrpcClient<typeof WatchService>;
  readonly #lease: CrpcClient<typeof LeaseService>;
  readonly #auth: CrpcClient<typeof AuthService>;
  #token: Promise<string> | undefined;

  constructor(options: EtcdClientOptions) {
    this.#options = options;
    const { hosts, tls } = options;
    this.url = `etcd${tls === undefined ? '' : 's'}://${hosts.join(',')}`;
    this.#channel = new Channel(`static:///${hosts.join(',')}`, {
      ...(tls !== undefined && { tls: { ...tls, serverNames: hosts.map(hostOf) } }),
      timeoutMs: CALL_TIMEOUT_MS,
      keepaliveIntervalMs: KEEPALIVE_INTERVAL_MS,
      keepaliveTimeoutMs: KEEPALIVE_TIMEOUT_MS,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      unavailable: 'REGISTRY_UNREACHABLE',
    });
    this.#kv = createClient(KVService, this.#channel);
    this.#watch = createClient(WatchService, this.#channel);
    this.#lease = createClient(LeaseService, this.#channel);
    this.#auth = createClient(AuthService, this.#channel);
  }

  async range({ key, end }: KeyRange): Promise<RangeResult> {
    const { kvs, header } = await this.#call((call) =>
      this.#kv.range({ key, rangeEnd: end, keysOnly: false }, call),
    );
    return { kvs, revision: header?.revision ?? 0n, clusterId: header?.clusterId ?? 0n };
  }

  async put(key: Buffer, value: string, lease = 0n): Promise<void> {
    await this.#call((call) => this.#kv.put({ key, value: Buffer.from(value), lease }, call));
  }

  async delete(key: Buffer): Promise<void> {
    await this.#call((call) => this.#kv.deleteRange({ key, rangeEnd: NONE }, call));
  }

  /** Returns whether the comparison held. */
  async txn(request: TxnRequest): Promise<boolean> {
    const { succeeded } = await this.#call((call) => this.#kv.txn(request, call));
    return succeeded;
  }

  async grantLease(ttlSeconds: number): Promise<bigint> {
    const { id } = await this.#call((call) =>
      this.#lease.leaseGrant({ ttl: BigInt(ttlSeconds), id: 0n }, call),
    );
    return id;
  }

  async revokeLease(id: bigint): Promise<void> {
    await this.#call((call) => this.#lease.leaseRevoke({ id }, call));
  }

  /**
   * Renews a lease. Returns whether it still exists. Each renewal is a call with a deadline: a long-lived stream that
   * silently stalls is the classic way to lose a lease.
   */
  async renewLease(id: bigint): Promise<boolean> {
    return this.#call(async (call) => {
      for await (const answer of this.#lease.leaseKeepAlive([{ id }], {
        ...call,
        timeoutMs: CALL_TIMEOUT_MS,
      }))
        return answer.ttl > 0n;
      throw new CrpcError('INTERNAL');
    });
  }

  /** Yields the changes after a revision. Throws if the stream breaks, returns if etcd cancels it. */
  async *watch(
    { key, end }: KeyRange,
    afterRevision: bigint,
    signal: AbortSignal,
  ): AsyncIterable<WatchResponse> {
    const create = { key, rangeEnd: end, startRevision: afterRevision + 1n };
    const call = await this.#callOptions();
    const metadata = { ...call.metadata, hasleader: 'true' };
    const requests = onceThenOpen(
      { requestUnion: { $case: 'createRequest' as const, createRequest: create } },
      signal,
    );
    try {
      yield* this.#watch.watch(requests, { ...call, metadata, signal });
    } catch (error) {
      this.#token = undefined;
      throw this.#unreachable(error);
    }
  }

  /** Compacts the history, for tests. */
  async compact(revision: bigint): Promise<void> {
    await this.#call((call) => this.#kv.compact({ revision, physical: true }, call));
  }

  close(): void {
    this.#channel.close();
  }

  async #call<T>(run: (call: CallOptions) => Promise<T>): Promise<T> {
    try {
      const call = await this.#callOptions();
      try {
        return await run(call);
      } catch (error) {
        if (call.metadata === undefined || !isTokenRefused(error)) throw error;
        // Tokens expire and do not survive a restart of etcd.
        this.#token = undefined;
        return await run(await this.#callOptions());
      }
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  async #callOptions(): Promise<CallOptions> {
    const { user, password = '' } = this.#options;
    if (user === undefined) return {};
    this.#token ??= this.#auth.authenticate({ name: user, password }).then(({ token }) => token);
    try {
      return { metadata: { token: await this.#token } };
    } catch (error) {
      this.#token = undefined;
      throw error;
    }
  }

  #unreachable(error: unknown): CrpcError {
    const details = { url: this.url, reason: reasonOf(error) };
    return new CrpcError('REGISTRY_UNREACHABLE', { cause: error, details });
  }
}

const NONE = Buffer.alloc(0);

/** Returns the reason of an error, the system's if there is one, without the full stop. */
function reasonOf(error: unknown): string {
  let root = error;
  while (root instanceof CrpcError && root.cause !== undefined) root = root.cause;
  if (!(root instanceof Error)) return String(root);
  const text = 'details' in root && typeof root.details === 'string' ? root.details : root.message;
  const last = /Last error: (?:Error: )?(.*?)\.? Resolution note:/s.exec(text)?.[1];
  return (last ?? text).replace(/\.$/, '');
}

/** host:port or [host]:port → host. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Returns whether an error means that the lease does not exist. */
export function isLeaseUnknown(error: unknown): boolean {
  const cause = error instanceof CrpcError ? error.cause : undefined;
  return cause instanceof CrpcError && cause.grpcStatus === GrpcStatus.NOT_FOUND;
}

function isTokenRefused(error: unknown): boolean {
  return error instanceof CrpcError && error.grpcStatus === GrpcStatus.UNAUTHENTICATED;
}

/** Yields one request, then keeps our half of the stream open until the signal. */
async function* onceThenOpen<T>(request: T, signal: AbortSignal): AsyncIterable<T> {
  yield request;
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
