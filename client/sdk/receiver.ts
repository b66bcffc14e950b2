/** The receiver: turns incoming frames into answers and events. */
import type { Gone, Message, SyncPage } from '../../proto/client.ts';
import {
  Authed as AuthedPayload,
  FrameType,
  MemberChange,
  MembersChanged,
  Message as MessagePayload,
  Nack as NackPayload,
  Presence as PresencePayload,
  Read as ReadPayload,
  Response as ResponsePayload,
  Self as SelfPayload,
  Sent as SentPayload,
  Typing as TypingPayload,
  Watched as WatchedPayload,
} from '../../proto/client.ts';
import { toEntry, toRole } from './convert.ts';
import type { LogEntry } from './entries.ts';
import type { ClientEvent, Emitter, LeaveReason } from './events.ts';
import type { Inbox } from './inbox.ts';
import type { Names } from './names.ts';
import type { Outbox } from './outbox.ts';
import type { TokenRenewal } from './renewal.ts';
import type { Requests } from './requests.ts';
import type { Shared } from './shared.ts';
import type { Syncer } from './sync.ts';
import type { Watcher } from './watcher.ts';

/** Changes of MEMBERS_CHANGED about other users; the rest may concern this user. */
const CHANGES: { readonly [change: number]: 'joined' | 'left' | 'removed' | undefined } = {
  [MemberChange.MEMBER_CHANGE_JOINED]: 'joined',
  [MemberChange.MEMBER_CHANGE_LEFT]: 'left',
  [MemberChange.MEMBER_CHANGE_REMOVED]: 'removed',
};

const REASONS: { readonly [reason: number]: LeaveReason | undefined } = {
  [MemberChange.MEMBER_CHANGE_LEFT]: 'left',
  [MemberChange.MEMBER_CHANGE_REMOVED]: 'removed',
};

/** The receivers of frames. */
export interface ReceiverParts {
  readonly events: Emitter;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly requests: Requests;
  readonly syncer: Syncer;
  readonly names: Names;
  readonly renewal: TokenRenewal;
  readonly shared: Shared;
  readonly watcher: Watcher;
  /** Prefix of every client_msg_id of this client. */
  readonly idPrefix: string;
  /** The gateway has fenced the connection under this mark. */
  onResync(mark: number): void;
}

export class Receiver {
  readonly #parts: ReceiverParts;
  #user = 0n;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
  }

  /** Sets the user; called before the first frame after WELCOME. */
  welcome(user: bigint): void {
    this.#user = user;
  }

  frame(type: number, ref: number, key: bigint, payload: Uint8Array): void {
    const { events, names, outbox, renewal, requests } = this.#parts;
    switch (type) {
      case FrameType.MESSAGE: {
        const message = MessagePayload.decode(payload);
        // SENT tells the place of an own send: it was made on an earlier connection.
        if (!this.#isOwn(message)) this.#take(key, Number(message.seq), message);
        break;
      }
      case FrameType.SENT: {
        const sent = SentPayload.decode(payload);
        outbox.committed(sent);
        this.#take(key, Number(sent.seq), undefined);
        break;
      }
      case FrameType.NACK: {
        const nack = NackPayload.decode(payload);
        const { watcher } = this.#parts;
        if (!renewal.refused(ref, nack) && !requests.refused(ref, nack) && !watcher.refused(ref, nack))
          outbox.refused(ref, nack);
        break;
      }
      case FrameType.RESPONSE:
        requests.answered(ref, ResponsePayload.decode(payload));
        break;
      case FrameType.TYPING: {
        const { user, name, stopped } = TypingPayload.decode(payload);
        const who = { user: user.toString(), name: names.note(user, name) };
        events.emit({ type: 'typing', conversation: key.toString(), ...who, stopped });
        break;
      }
      case FrameType.MEMBERS_CHANGED:
        this.#membersChanged(key, MembersChanged.decode(payload));
        break;
      case FrameType.WATCHED:
        this.#parts.watcher.watched(ref, WatchedPayload.decode(payload));
        break;
      case FrameType.READ:
        this.#parts.watcher.read(key, ReadPayload.decode(payload));
        break;
      case FrameType.PRESENCE:
        this.#parts.watcher.presence(PresencePayload.decode(payload));
        break;
      case FrameType.SELF:
        this.#parts.shared.changed(SelfPayload.decode(payload));
        break;
      case FrameType.AUTHED:
        renewal.renewed(ref, AuthedPayload.decode(payload));
        break;
      case FrameType.RESYNC:
        this.#parts.onResync(ref);
        break;
      default:
      // Unknown types belong to a later version of the protocol.
    }
  }

  /** Delivers the next entry of a conversation. */
  deliver(conversation: bigint, message: Message): void {
    // SENT has reported it.
    if (this.#isOwn(message)) return;
    const event = eventOf(toEntry(conversation.toString(), message, this.#parts.names));
    if (event !== undefined) this.#parts.events.emit(event);
  }

  /**
   * Resolves when the own sends in a page of the log are answered.
   *
   * SENT alone acknowledges them: an entry that can be read may not be on the database's standby yet. If the cursor
   * passed them before that and the client ended, no client of the device would show them.
   */
  async answered({ conversations }: SyncPage): Promise<void> {
    const own = conversations.flatMap(({ messages }) => messages.filter((message) => this.#isOwn(message)));
    await this.#parts.outbox.answered(own.map(({ clientMsgId }) => clientMsgId));
  }

  /** The user has left a conversation, and its last messages have come. */
  gone({ conversation, reason }: Gone): void {
    const { events, inbox, watcher } = this.#parts;
    watcher.left(conversation);
    const known = inbox.forget(conversation);
    // It was known from a push only, and nothing in it was for this user.
    if (known === undefined) return;
    const why = REASONS[reason] ?? 'deleted';
    events.emit({ type: 'left', conversation: conversation.toString(), name: known.name, reason: why });
  }

  #membersChanged(key: bigint, changed: MembersChanged): void {
    const { change, user, by, afterSeq, members } = changed;
    if (change === MemberChange.MEMBER_CHANGE_COUNT) {
      this.#parts.events.emit({ type: 'memberCount', conversation: key.toString(), members });
      return;
    }
    const name = this.#parts.names.note(user, changed.name);
    const news = { type: 'member', conversation: key.toString(), user: user.toString(), name, by } as const;
    if (change === MemberChange.MEMBER_CHANGE_ROLE) {
      const role = toRole(changed.role) ?? 'member';
      if (user === this.#user) this.#parts.inbox.setRole(key, role);
      this.#parts.events.emit({ ...news, change: 'role', role, afterSeq: Number(afterSeq) });
      return;
    }
    const what = CHANGES[change];
    // The user's own changes, on any device, come from the log, after the last messages.
    if (what === undefined || user === this.#user) {
      this.#parts.syncer.want(false);
      return;
    }
    this.#parts.events.emit({ ...news, change: what, afterSeq: Number(afterSeq) });
  }

  /** Whether this client has sent it. */
  #isOwn({ sender, clientMsgId }: Message): boolean {
    const { idPrefix, outbox } = this.#parts;
    return sender === this.#user && (clientMsgId.startsWith(idPrefix) || outbox.has(clientMsgId));
  }

  #take(conversation: bigint, seq: number, message: Message | undefined): void {
    const { inbox, syncer } = this.#parts;
    inbox.push(conversation, seq, message);
    if (!inbox.incomplete) return;
    // Only the log knows the start of a conversation that is new here.
    if (inbox.knows(conversation)) syncer.wantIfIncomplete();
    else syncer.want(false);
  }
}

/** Returns the event of an entry; undefined where there is nothing to show. */
function eventOf(entry: LogEntry): ClientEvent | undefined {
  switch (entry.kind) {
    case 'message':
      return { type: 'message', ...entry };
    case 'edit': {
      const { target } = entry;
      return target === undefined || entry.text === '' ? undefined : { type: 'edited', ...entry, target };
    }
    case 'retract':
      return entry.target === undefined && entry.range === undefined
        ? undefined
        : { type: 'retracted', ...entry };
    case 'pin':
      return entry.target === undefined ? undefined : { type: 'pinned', ...entry, target: entry.target };
    case 'unpin':
      return entry.target === undefined ? undefined : { type: 'unpinned', ...entry, target: entry.target };
    case 'system':
      return { type: 'system', ...entry };
    default:
      return undefined;
  }
}
