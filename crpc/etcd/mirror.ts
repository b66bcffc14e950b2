/** A mirror of a range of keys, kept up to date by list and watch. */
import { Backoff } from '../backoff.ts';
import type { Logger } from '../logger.ts';
import type { EtcdClient, KeyRange, RangeResult } from './etcd-client.ts';
import type { KeyValue } from './gen/etcd.ts';

/** A key's value and its lease; 0: none. */
export interface MirrorValue {
  readonly text: string;
  readonly lease: bigint;
}

/** Changes of the keys. */
export interface MirrorListener {
  /**
   * All keys, listed when a watch (re)starts. `isReborn`: etcd has lost its history since the last list, so missing
   * keys may only be waiting to be registered again.
   */
  onList(values: ReadonlyMap<string, MirrorValue>, isReborn: boolean): void;
  /** Changes of one watch response; undefined: deleted. */
  onChange(changes: ReadonlyMap<string, MirrorValue | undefined>): void;
  /** etcd is unreachable; the known keys stay. */
  onStale(): void;
}

/** Identity and revision of the etcd. */
type Position = Pick<RangeResult, 'clusterId' | 'revision'>;

/**
 * Mirrors a range. Each watch starts with a list and continues from its revision: a broken stream, a compacted revision
 * and an etcd that came back empty all take the same path, without a gap.
 */
export class Mirror {
  readonly #client: EtcdClient;
  readonly #range: KeyRange;
  readonly #listener: MirrorListener;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  readonly #backoff = new Backoff({ baseMs: 100, maxMs: 3000 });
  #last: Position | undefined;

  constructor(client: EtcdClient, range: KeyRange, listener: MirrorListener, logger: Logger) {
    this.#client = client;
    this.#range = range;
    this.#listener = listener;
    this.#logger = logger;
    void this.#run();
  }

  close(): void {
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#listener.onStale();
        const waitMs = this.#backoff.next();
        const level = this.#backoff.failures === 1 ? 'warn' : 'debug';
        this.#logger[level]({ err: error, waitMs }, 'registry watch broke; trying again');
        await this.#wait(waitMs);
      }
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const last = await this.#list(signal);
    if (last === undefined) return;
    if (this.#backoff.failures > 0) this.#logger.info({}, 'registry watch is back');
    this.#backoff.reset();
    for await (const response of this.#client.watch(this.#range, last.revision, signal)) {
      if (signal.aborted) return;
      if (response.canceled) {
        this.#logger.info(
          { reason: response.cancelReason, compacted: String(response.compactRevision) },
          'registry watch was cancelled; listing again',
        );
        return;
      }
      if (response.events.length === 0) continue;
      this.#last = { ...last, revision: response.header?.revision ?? last.revision };
      const changes = new Map<string, MirrorValue | undefined>();
      for (const { type, kv } of response.events)
        if (kv !== undefined) changes.set(kv.key.toString(), type === 0 ? valueOf(kv) : undefined);
      this.#listener.onChange(changes);
    }
  }

  /** Lists all keys and returns the revision to watch from; the list itself is not kept. */
  async #list(signal: AbortSignal): Promise<Position | undefined> {
    const { clusterId, revision, kvs } = await this.#client.range(this.#range);
    if (signal.aborted) return undefined;
    const last = this.#last;
    const isReborn = last !== undefined && (clusterId !== last.clusterId || revision < last.revision);
    this.#last = { clusterId, revision };
    this.#listener.onList(new Map(kvs.map((kv) => [kv.key.toString(), valueOf(kv)])), isReborn);
    return this.#last;
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#abort.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function valueOf({ value, lease }: KeyValue): MirrorValue {
  return { text: value.toString(), lease };
}
