/** Fair queue of requests: a few run at a time, one per user, users in queue. */
import type { PlainErrorCode, UserId } from '../../common/mod.ts';
import type { StateLimits } from '../limits.ts';

/** Most running requests. Of the store's eight connections two are left for member lists and names. */
const MAX_RUNNING = 6;
/** Size of a large request, of which one runs at a time: a sync with some 1,000 cursors. */
const LARGE_BYTES = 16 * 1024;
/** Shortest pause: timers cannot be shorter. */
const MIN_REST_MS = 1;

export type FairQueueLimits = Pick<
  StateLimits,
  'requests' | 'requestBytes' | 'requestsPerUser' | 'requestBytesPerUser'
>;

interface Task {
  readonly bytes: number;
  readonly work: () => Promise<void>;
}

interface UserQueue {
  readonly user: UserId;
  readonly waiting: Task[];
  /** Waiting and running requests, and their bytes. */
  requests: number;
  bytes: number;
  /** Whether one runs, or the user pauses after one. */
  isBusy: boolean;
}

/**
 * After each request its user pauses for as long as the work took, so that half of the time is left to others. Large
 * requests pause in the same way, for all users together. A user who queues too much is refused; everyone else waits for
 * at most one request of each user.
 */
export class FairQueue {
  readonly #limits: FairQueueLimits;
  readonly #users = new Map<UserId, UserQueue>();
  /** Users whose next request may run: a small one, a large one. */
  readonly #small: UserQueue[] = [];
  readonly #large: UserQueue[] = [];
  #running = 0;
  /** Whether a large request runs, or large requests pause after one. */
  #isLargeBusy = false;
  #requests = 0;
  #bytes = 0;
  readonly #whenIdle: (() => void)[] = [];

  constructor(limits: FairQueueLimits) {
    this.#limits = limits;
  }

  /** Returns why a user's request is refused now; undefined if it is accepted. */
  refusal(user: UserId): PlainErrorCode | undefined {
    const { requests, requestBytes, requestsPerUser, requestBytesPerUser } = this.#limits;
    const queue = this.#users.get(user);
    if (queue !== undefined && (queue.requests >= requestsPerUser || queue.bytes >= requestBytesPerUser))
      return 'RATE_LIMITED';
    return this.#requests < requests && this.#bytes < requestBytes ? undefined : 'OVERLOADED';
  }

  /** Runs a request now or in its turn. `work` must not reject. Call `refusal` first. */
  add(user: UserId, bytes: number, work: () => Promise<void>): void {
    let queue = this.#users.get(user);
    if (queue === undefined) {
      queue = { user, waiting: [], requests: 0, bytes: 0, isBusy: false };
      this.#users.set(user, queue);
    }
    this.#count(queue, 1, bytes);
    if (queue.waiting.push({ bytes, work }) === 1 && !queue.isBusy) this.#readyQueues(queue).push(queue);
    this.#next();
  }

  /** Resolves when no request waits or runs. */
  idle(): Promise<void> {
    if (this.#requests === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
    });
  }

  #readyQueues({ waiting }: UserQueue): UserQueue[] {
    return isLarge(waiting[0] as Task) ? this.#large : this.#small;
  }

  #next(): void {
    while (this.#running < MAX_RUNNING) {
      const queue = (this.#isLargeBusy ? undefined : this.#large.shift()) ?? this.#small.shift();
      if (queue === undefined) return;
      void this.#run(queue, queue.waiting.shift() as Task);
    }
  }

  async #run(queue: UserQueue, task: Task): Promise<void> {
    this.#running++;
    queue.isBusy = true;
    this.#isLargeBusy ||= isLarge(task);
    const beganMs = performance.now();
    await task.work();
    const tookMs = performance.now() - beganMs;
    this.#running--;
    this.#count(queue, -1, -task.bytes);
    if (this.#requests === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    if (tookMs < MIN_REST_MS) this.#rested(queue, task);
    else setTimeout(() => this.#rested(queue, task), tookMs);
    this.#next();
  }

  #rested(queue: UserQueue, task: Task): void {
    queue.isBusy = false;
    if (isLarge(task)) this.#isLargeBusy = false;
    if (queue.waiting.length > 0) this.#readyQueues(queue).push(queue);
    else this.#users.delete(queue.user);
    this.#next();
  }

  #count(queue: UserQueue, requests: number, bytes: number): void {
    queue.requests += requests;
    queue.bytes += bytes;
    this.#requests += requests;
    this.#bytes += bytes;
  }
}

function isLarge({ bytes }: Task): boolean {
  return bytes >= LARGE_BYTES;
}
