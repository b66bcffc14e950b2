/** Small numbers leased from etcd: no two live processes have the same one. */
import { CrpcError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { once } from '../once.ts';
import type { LeasedId } from '../registry/registry.ts';
import type { EtcdClient, KeyRange } from './etcd-client.ts';
import type { TxnRequest } from './gen/etcd.ts';
import type { Lease } from './lease.ts';
import type { EtcdSession, LeasedEntry } from './session.ts';

const CURSOR = 'last';
const NONE = Buffer.alloc(0);
/** Longest delay of a Node timer. */
const MAX_TIMER_MS = 0x7fff_ffff;

export interface LeaseNumberOptions {
  /** Name of the group of numbers. */
  readonly name: string;
  readonly client: EtcdClient;
  readonly session: EtcdSession;
  readonly logger: Logger;
  readonly range: KeyRange;
  readonly max: number;
  /** Id of this lease of a number. */
  readonly owner: string;
}

/** Takes a free number. @throws CrpcError REGISTRY_UNREACHABLE, NUMBERS_EXHAUSTED */
export async function leaseNumber(options: LeaseNumberOptions): Promise<LeasedId> {
  const number = new LeasedNumber(options);
  try {
    await options.session.add(number);
  } catch (error) {
    // A call without an answer may have taken it.
    void number.release();
    throw error;
  }
  return number;
}

/**
 * A number in etcd under this process's lease.
 *
 * It is held as long as the lease is certainly valid by the process's own clocks. So it is given up before etcd can
 * give it to another process, even if etcd is unreachable. If etcd has lost the lease (revoked, or data loss), a new
 * one is taken, and the number with it if it is still free.
 */
class LeasedNumber implements LeasedId, LeasedEntry {
  dirty = false;
  readonly lost: Promise<void>;
  readonly #options: LeaseNumberOptions;
  readonly #reportLost: () => void;
  #value = -1;
  /** Lease of the last write. */
  #lease: Lease | undefined;
  /** Whether it is lost or released for good, whatever is still in flight. */
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LeaseNumberOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.lost = promise;
    this.#reportLost = resolve;
  }

  get value(): number {
    return this.#value;
  }

  get isHeld(): boolean {
    return !this.#isOver && this.#lease !== undefined && this.#lease.leftMs > 0;
  }

  async put(lease: Lease): Promise<void> {
    if (this.#lease === undefined) await this.#takeFree(lease);
    else if (!this.isHeld) return this.#lose('it could not be renewed in time');
    else if (!(await this.#takeAgain(lease))) return this.#lose('another process holds it');
    if (this.#isOver) return this.#erase();
    this.#lease = lease;
    this.#watchClock();
  }

  readonly release = once(async () => {
    this.#giveUp();
    await this.#erase();
  });

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /**
   * Takes the next free number after the one taken last, so that the number of a silent holder is reused as late as
   * possible.
   */
  async #takeFree(lease: Lease): Promise<void> {
    const { client, name, range, max } = this.#options;
    for (;;) {
      const { kvs } = await client.range(range);
      const names = new Map(
        kvs.map(({ key, value }) => [key.subarray(range.key.length).toString(), value.toString()]),
      );
      // Without a cursor etcd may have lost its data, and processes may still hold numbers unknown to it.
      const last = Number(names.get(CURSOR) ?? Math.floor(Math.random() * (max + 1)));
      let free = -1;
      for (let step = 1; step <= max + 1 && free < 0; step++) {
        const candidate = (last + step) % (max + 1);
        if (!names.has(String(candidate))) free = candidate;
      }
      if (free < 0) throw new CrpcError('NUMBERS_EXHAUSTED', { details: { name, max } });
      this.#value = free;
      // Another process may be faster; then the list is read again.
      if (await take(this.#options, free, lease)) return;
    }
  }

  async #takeAgain(lease: Lease): Promise<boolean> {
    const { client, range, owner } = this.#options;
    if (await take(this.#options, this.#value, lease)) return true;
    const key = numberKey(range, this.#value);
    const [holder] = (await client.range({ key, end: NONE })).kvs;
    if (holder?.value.toString() !== owner) return false;
    // Our own key under an older, expiring lease.
    await client.put(key, owner, lease.id);
    return true;
  }

  /** Reports the end of the lease in time; the timer follows its renewals. */
  #watchClock(): void {
    clearTimeout(this.#timer);
    const leftMs = this.#lease?.leftMs ?? 0;
    if (leftMs <= 0) return this.#lose('it could not be renewed in time');
    this.#timer = setTimeout(() => this.#watchClock(), Math.min(leftMs, MAX_TIMER_MS));
    this.#timer.unref();
  }

  #lose(why: string): void {
    if (this.#isOver) return;
    const { logger, range } = this.#options;
    logger.error({ number: this.#value, key: range.key.toString(), why }, 'the leased number is lost');
    this.#reportLost();
    // Frees the number in etcd if it is still ours.
    void this.release();
  }

  #giveUp(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.session.remove(this);
  }

  /** Deletes the key if it is ours. */
  async #erase(): Promise<void> {
    const { client, range, owner, logger } = this.#options;
    const key = numberKey(range, this.#value);
    try {
      await client.txn({
        compare: [{ result: 0, target: 3, key, targetUnion: { $case: 'value', value: Buffer.from(owner) } }],
        success: [{ request: { $case: 'requestDeleteRange', requestDeleteRange: { key, rangeEnd: NONE } } }],
        failure: [],
      });
    } catch (error) {
      logger.debug({ err: error }, 'number is left to expire');
    }
  }
}

function numberKey(range: KeyRange, value: number): Buffer {
  return Buffer.concat([range.key, Buffer.from(String(value))]);
}

/** Takes a number if it is free. */
function take({ client, range, owner }: LeaseNumberOptions, value: number, lease: Lease): Promise<boolean> {
  const key = numberKey(range, value);
  const request: TxnRequest = {
    compare: [{ result: 0, target: 0, key, targetUnion: { $case: 'version', version: 0n } }],
    success: [
      { request: { $case: 'requestPut', requestPut: { key, value: Buffer.from(owner), lease: lease.id } } },
      {
        request: {
          $case: 'requestPut',
          requestPut: {
            key: Buffer.concat([range.key, Buffer.from(CURSOR)]),
            value: Buffer.from(String(value)),
            lease: 0n,
          },
        },
      },
    ],
    failure: [],
  };
  return client.txn(request);
}
