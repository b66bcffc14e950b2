/** REQUEST frames: each call of the oneof to its answer. */
import { GochatError, type PlainErrorCode, TaskQueue } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { StateLimits } from '../limits.ts';
import type { StateMetrics } from '../metrics.ts';
import type { Caller } from '../session/location-map.ts';
import type { Membership } from './membership.ts';
import type { Rooms } from './rooms.ts';

/** Requests that are worked at. More would not be answered sooner, as the store has fewer connections for them. */
const MAX_RUNNING = 16;

/** Answers requests; bounded in all, the links bound them for each connection. */
export class Requests {
  readonly #rooms: Rooms;
  readonly #membership: Membership;
  readonly #metrics: StateMetrics;
  readonly #limits: Pick<StateLimits, 'requests' | 'requestBytes'>;
  readonly #queue = new TaskQueue(MAX_RUNNING);
  #inFlight = 0;
  #bytes = 0;
  #draining = false;
  readonly #whenIdle: (() => void)[] = [];

  constructor(
    rooms: Rooms,
    membership: Membership,
    metrics: StateMetrics,
    limits: Pick<StateLimits, 'requests' | 'requestBytes'>,
  ) {
    this.#rooms = rooms;
    this.#membership = membership;
    this.#metrics = metrics;
    this.#limits = limits;
  }

  /** Why no request is taken now, or undefined when one is. */
  get refusal(): PlainErrorCode | undefined {
    if (this.#draining) return 'STATE_UNAVAILABLE';
    const { requests, requestBytes } = this.#limits;
    return this.#inFlight < requests && this.#bytes < requestBytes ? undefined : 'OVERLOADED';
  }

  /** Whether a request that comes now waits for its turn. */
  get busy(): boolean {
    return this.#queue.busy;
  }

  /** Takes a request of so many bytes and works at it now or in its turn; `work` must not reject. See `refusal`. */
  take(bytes: number, work: () => Promise<void>): void {
    this.#inFlight++;
    this.#bytes += bytes;
    this.#queue.add(async () => {
      await work();
      this.#bytes -= bytes;
      this.#inFlight--;
      if (this.#inFlight === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    });
  }

  /** Takes no more requests; resolves when those in flight are answered. */
  drain(): Promise<void> {
    this.#draining = true;
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
    });
  }

  /** Answers one request about the conversation `key`. @throws GochatError what the caller is to be told */
  async answer(caller: Caller, key: bigint, request: client.Request): Promise<client.Response> {
    return { result: await this.#call(caller, key, request.call) };
  }

  async #call(caller: Caller, key: bigint, call: client.Request['call']): Promise<client.Response['result']> {
    const rooms = this.#rooms;
    const membership = this.#membership;
    const { user } = caller;
    switch (call?.$case) {
      case 'sync':
        this.#metrics.syncs.add(1);
        return { $case: 'sync', sync: await rooms.sync(caller, call.sync) };
      case 'openDirect':
        return {
          $case: 'conversation',
          conversation: await rooms.openDirect(caller, call.openDirect.userName),
        };
      case 'createRoom': {
        const { name, hideHistory } = call.createRoom;
        return { $case: 'conversation', conversation: await rooms.create(caller, name, hideHistory) };
      }
      case 'joinRoom':
        return { $case: 'conversation', conversation: await membership.join(caller, call.joinRoom.room) };
      case 'leaveRoom':
        await membership.leave(caller, key);
        return { $case: 'done', done: {} };
      case 'removeMember':
        await membership.remove(caller, key, call.removeMember.user);
        return { $case: 'done', done: {} };
      case 'deleteRoom':
        await membership.delete(caller, key);
        return { $case: 'done', done: {} };
      case 'listConversations':
        return { $case: 'conversations', conversations: await rooms.conversations(caller) };
      case 'getHistory': {
        const { beforeSeq, limit } = call.getHistory;
        return { $case: 'history', history: await rooms.history(user, key, beforeSeq, limit) };
      }
      case 'getMembers':
        return { $case: 'members', members: await rooms.members(user, key) };
    }
    // A call that this version does not know decodes as none.
    throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The call of the REQUEST' } });
  }
}
