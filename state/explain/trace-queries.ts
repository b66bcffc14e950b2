/** Queries to one worker about messages, for `gochat ctl trace`. */
import { encodeRecord, link as wire, LinkKind } from '../../proto/mod.ts';
import type { Downlink } from '../session/downlink.ts';

/** Timeout of an answer; the worker is then left out. */
const TIMEOUT_MS = 1000;
/** Most open queries to one worker; beyond it the worker is left out. */
const MAX_OPEN = 64;

export class TraceQueries {
  readonly #link: Downlink;
  readonly #open = new Map<number, (hops: wire.TraceHop[] | undefined) => void>();
  #number = 0;

  constructor(link: Downlink) {
    this.#link = link;
  }

  /** Resolves with the worker's hops; undefined if it does not answer. */
  ask(what: Omit<wire.Trace, 'number'>): Promise<wire.TraceHop[] | undefined> {
    if (this.#link.ended || this.#open.size >= MAX_OPEN) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<wire.TraceHop[] | undefined>();
    this.#number = (this.#number + 1) >>> 0;
    const number = this.#number;
    const settle = (hops: wire.TraceHop[] | undefined) => {
      clearTimeout(timer);
      this.#open.delete(number);
      resolve(hops);
    };
    const timer = setTimeout(() => settle(undefined), TIMEOUT_MS);
    this.#open.set(number, settle);
    this.#link.answer(encodeRecord(LinkKind.TRACE, wire.Trace.encode({ ...what, number }).finish()));
    return promise;
  }

  answered({ number, hops }: wire.Traced): void {
    this.#open.get(number)?.(hops);
  }

  /** The worker is gone. */
  end(): void {
    for (const settle of this.#open.values()) settle(undefined);
  }
}
