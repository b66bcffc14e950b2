/** News of how many members large conversations have: told to those who watch, gathered, instead of each join and leave. */
import type { ConversationId, Logger, UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { WatchBook } from '../session/watch-book.ts';
import type { PresenceStore } from '../store/store.ts';
import type { Fanout } from './fanout.ts';

/** Changes of so long are told together. */
const GATHER_MS = 1000;

export interface MemberNewsOptions {
  readonly store: Pick<PresenceStore, 'countMembers'>;
  readonly watches: Pick<WatchBook, 'hasConversation' | 'removeMember'>;
  readonly fanout: Pick<Fanout, 'publishToWatchers'>;
  readonly logger: Logger;
}

export class MemberNews {
  readonly #options: MemberNewsOptions;
  #changed = new Set<ConversationId>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MemberNewsOptions) {
    this.#options = options;
  }

  /** Somebody has joined or left. */
  changed(conversation: ConversationId): void {
    if (!this.#options.watches.hasConversation(conversation)) return;
    this.#changed.add(conversation);
    this.#timer ??= setTimeout(() => void this.#tell(), GATHER_MS).unref();
  }

  /** A user is no longer a member: nothing of it is pushed to the user's connections that watch it. */
  departed(conversation: ConversationId, user: UserId): void {
    this.#options.watches.removeMember(conversation, user);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#changed.clear();
  }

  async #tell(): Promise<void> {
    this.#timer = undefined;
    const changed = [...this.#changed];
    this.#changed.clear();
    const { store, fanout, logger } = this.#options;
    try {
      for (const [conversation, members] of await store.countMembers(changed)) {
        const change = client.MemberChange.MEMBER_CHANGE_COUNT;
        const payload = client.MembersChanged.encode(
          client.MembersChanged.create({ change, members }),
        ).finish();
        const frame = encodeFrame(FrameType.MEMBERS_CHANGED, 0, conversation, payload);
        fanout.publishToWatchers({ conversation, frame, isEphemeral: false, isFor: () => true });
      }
    } catch (error) {
      logger.debug({ err: error }, 'cannot count the members of conversations');
      for (const conversation of changed) this.changed(conversation);
    }
  }
}
