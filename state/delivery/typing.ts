/** Typing notices: passed on to the other members, in large rooms to those who watch; never stored, the first to be dropped. */
import type { ConversationId, UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { SettingsCache } from '../identity/settings-cache.ts';
import type { Caller } from '../session/location-map.ts';
import type { Fanout } from './fanout.ts';

/** How long a notice is shown, for those who begin to watch: clients repeat it every 3 s. */
const SHOWN_MS = 5000;
/** Most users who are remembered as typing in a conversation. */
const MAX_TYPING = 16;
/** Most conversations in which somebody types that are remembered; beyond: the oldest are forgotten. */
const MAX_CONVERSATIONS = 10_000;

interface Notice {
  readonly frame: Uint8Array;
  readonly endMs: number;
}

export interface TypingOptions {
  readonly fanout: Pick<Fanout, 'publishEphemeral' | 'publishToWatchers'>;
  readonly settings: Pick<SettingsCache, 'known' | 'of'>;
  /** Monotonic clock, ms. @default performance.now */
  readonly now?: () => number;
}

export class Typing {
  readonly #options: TypingOptions;
  readonly #now: () => number;
  /** By conversation and user, the oldest first. */
  readonly #typing = new Map<ConversationId, Map<UserId, Notice>>();

  constructor(options: TypingOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Notifies the other members. No effect if the caller is not known to be a member, or is invisible. */
  tell(conversation: ConversationId, caller: Caller, stopped: boolean): void {
    const { settings } = this.#options;
    const known = settings.known(caller.user);
    if (known !== undefined) {
      if (!known.invisible) this.#tell(conversation, caller, stopped);
      return;
    }
    settings.of([caller.user]).then(
      (of) => {
        if (!of(caller.user).invisible) this.#tell(conversation, caller, stopped);
      },
      // A notice is soon out of date.
      () => undefined,
    );
  }

  /** Tells a user who has begun to watch a conversation who types there. */
  catchUp(conversation: ConversationId, watcher: UserId): void {
    const now = this.#now();
    const isFor = (user: UserId) => user === watcher;
    for (const [user, { frame, endMs }] of this.#typing.get(conversation) ?? [])
      if (endMs > now && user !== watcher)
        this.#options.fanout.publishToWatchers({ conversation, frame, isEphemeral: true, isFor });
  }

  #tell(conversation: ConversationId, { user, userName }: Caller, stopped: boolean): void {
    const typing = client.Typing.encode({ user, name: userName, stopped }).finish();
    const frame = encodeFrame(FrameType.TYPING, 0, conversation, typing);
    this.#note(conversation, user, stopped ? undefined : frame);
    this.#options.fanout.publishEphemeral(conversation, user, frame);
  }

  /** Keeps a notice for those who begin to watch; undefined: the user has stopped. */
  #note(conversation: ConversationId, user: UserId, frame: Uint8Array | undefined): void {
    const users = this.#typing.get(conversation) ?? new Map<UserId, Notice>();
    const now = this.#now();
    for (const [other, { endMs }] of users) if (endMs <= now) users.delete(other);
    users.delete(user);
    this.#typing.delete(conversation);
    if (frame !== undefined && users.size < MAX_TYPING) users.set(user, { frame, endMs: now + SHOWN_MS });
    if (users.size > 0) this.#typing.set(conversation, users);
    if (this.#typing.size > MAX_CONVERSATIONS)
      for (const oldest of this.#typing.keys()) {
        this.#typing.delete(oldest);
        break;
      }
  }
}
