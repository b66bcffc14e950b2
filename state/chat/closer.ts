/** The closer: does in the background what is left of closing an account. Each state node does, also after a crash. */
import { Backoff, GochatError, type Logger, type MessageId, type UserId } from '../../common/mod.ts';
import { encodeEntry } from '../delivery/entry-frames.ts';
import type { Fanout } from '../delivery/fanout.ts';
import type { LoginSessions } from '../identity/login-sessions.ts';
import type { Profiles } from '../identity/profiles.ts';
import type { Closing, Store } from '../store/store.ts';
import type { Membership } from './membership.ts';

/** Rooms that are left before the next query. */
const ROOMS = 100;
/** Interval of the search for what other nodes have left, ms. */
const AGAIN_MS = 2_000;
/** Longest wait for a failing store, ms. */
const MAX_RETRY_MS = 5_000;
/** Longest time from the commit of a closing to that of a message which the user had sent before it, and more. ms. */
const LATE_MS = 15_000;

export interface CloserOptions {
  readonly store: Pick<Store, 'closings' | 'removeClosing' | 'roomsOf' | 'retractAllOf'>;
  readonly logins: Pick<LoginSessions, 'endAll'>;
  readonly membership: Pick<Membership, 'leave'>;
  readonly fanout: Pick<Fanout, 'publish'>;
  readonly profiles: Pick<Profiles, 'known' | 'drop'>;
  /** Erases what is hidden. */
  readonly erase: () => void;
  readonly nextIds: (count: number) => readonly MessageId[];
  readonly logger: Logger;
}

/**
 * Makes users of closed accounts leave their rooms, which pass on as with anybody who leaves, and retracts their messages if
 * they wished so. The row of a closing stays until nothing can come late, so that a message that was under way is found.
 */
export class Closer {
  readonly #options: CloserOptions;
  readonly #backoff = new Backoff({ baseMs: 100, maxMs: MAX_RETRY_MS });
  /** Users whose connections this node has ended. */
  readonly #ended = new Set<UserId>();
  #isDue = false;
  #closing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: CloserOptions) {
    this.#options = options;
  }

  /** Goes through all closings, beginning now. */
  close(): void {
    this.#isDue = true;
    if (this.#closing !== undefined || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#closing = this.#run().finally(() => {
      this.#closing = undefined;
    });
  }

  /** Resolves when nothing is in flight. Other nodes or the next start do the rest. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#closing;
  }

  async #run(): Promise<void> {
    let againMs = AGAIN_MS;
    try {
      while (this.#isDue && !this.#stopped) {
        this.#isDue = false;
        for (const closing of await this.#options.store.closings()) await this.#finish(closing);
      }
      this.#backoff.reset();
    } catch (error) {
      // What is to be done stands in the store, so nothing is lost.
      againMs = this.#backoff.next();
      this.#options.logger.warn({ err: error, againMs }, 'closing accounts was interrupted');
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.close(), againMs).unref();
  }

  async #finish({ user, retracts, closedAtMs }: Closing): Promise<void> {
    const { store, logins, membership, profiles } = this.#options;
    profiles.drop(user);
    const isOver = Date.now() - closedAtMs > LATE_MS;
    // The node that closed the account may have crashed before it ended the connections.
    if (!this.#ended.has(user)) await logins.endAll(user, 'ACCOUNT_CLOSED');
    this.#ended.add(user);
    for (;;) {
      const rooms = await store.roomsOf(user, ROOMS);
      if (rooms.length === 0) break;
      for (const room of rooms) {
        if (this.#stopped) return;
        await membership.leave({ user, userName: '', device: '' }, room).catch(ignoreMissing);
      }
    }
    const isDone = !retracts || (await this.#retract(user));
    if (!isOver || !isDone) return;
    await store.removeClosing(user);
    this.#ended.delete(user);
  }

  /** Retracts the messages in one conversation after the other. Returns whether nothing is left. */
  async #retract(user: Closing['user']): Promise<boolean> {
    const { store, fanout, profiles, erase, nextIds } = this.#options;
    while (!this.#stopped) {
      const stamp = { ids: nextIds(1), atMs: Date.now() };
      const retracted = await store.retractAllOf(user, stamp);
      if (retracted === undefined) return true;
      erase();
      if (retracted === 'later') return false;
      const { entry, memberVersion } = retracted;
      const { conversation, seq, extra } = entry;
      if (extra === undefined) continue;
      const encoded = encodeEntry({ ...entry, extra }, (each) => profiles.known(each));
      fanout.publish({ conversation, memberVersion, seq, ...encoded, link: undefined, conn: -1 });
    }
    return false;
  }
}

/** The room was deleted meanwhile. */
function ignoreMissing(error: unknown): void {
  const { code } = GochatError.from(error);
  if (code !== 'ROOM_NOT_FOUND' && code !== 'NOT_A_MEMBER') throw error;
}
