/** Turns the frames that come from the gateway into answers for those who wait, and into events. */
import type { Gone, Message } from '../../proto/client.ts';
import {
  FrameType,
  MemberChange,
  MembersChanged,
  Message as MessagePayload,
  Nack as NackPayload,
  Response as ResponsePayload,
  Sent as SentPayload,
  Typing as TypingPayload,
} from '../../proto/client.ts';
import { toChatMessage, toRole } from './convert.ts';
import type { Emitter, LeaveReason } from './events.ts';
import type { Inbox } from './inbox.ts';
import type { Outbox } from './outbox.ts';
import type { Requests } from './requests.ts';
import type { Syncer } from './sync.ts';

/** What MEMBERS_CHANGED tells of others; the rest concerns this user too. */
const CHANGES: { readonly [change: number]: 'joined' | 'left' | 'removed' | undefined } = {
  [MemberChange.MEMBER_CHANGE_JOINED]: 'joined',
  [MemberChange.MEMBER_CHANGE_LEFT]: 'left',
  [MemberChange.MEMBER_CHANGE_REMOVED]: 'removed',
};

const REASONS: { readonly [reason: number]: LeaveReason | undefined } = {
  [MemberChange.MEMBER_CHANGE_LEFT]: 'left',
  [MemberChange.MEMBER_CHANGE_REMOVED]: 'removed',
};

/** Whom the frames are for. */
export interface ReceiverParts {
  readonly events: Emitter;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly requests: Requests;
  readonly syncer: Syncer;
  /** Begins every client_msg_id of this client. */
  readonly idPrefix: string;
  /** The gateway fences the connection under this mark. */
  onResync(mark: number): void;
}

export class Receiver {
  readonly #parts: ReceiverParts;
  #user = 0n;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
  }

  /** Says whose connection it is; before the first frame after WELCOME. */
  welcome(user: bigint): void {
    this.#user = user;
  }

  frame(type: number, ref: number, key: bigint, payload: Uint8Array): void {
    const { events, outbox, requests } = this.#parts;
    switch (type) {
      case FrameType.MESSAGE: {
        const message = MessagePayload.decode(payload);
        this.#take(key, Number(message.seq), message);
        break;
      }
      case FrameType.SENT: {
        const { clientMsgId, seq, id, atMs, duplicate } = SentPayload.decode(payload);
        const receipt = { seq: Number(seq), id: id.toString(), atMs: Number(atMs), duplicate };
        outbox.committed(clientMsgId, receipt);
        this.#take(key, receipt.seq, undefined);
        break;
      }
      case FrameType.NACK: {
        const nack = NackPayload.decode(payload);
        if (!requests.refused(ref, nack)) outbox.refused(ref, nack);
        break;
      }
      case FrameType.RESPONSE:
        requests.answered(ref, ResponsePayload.decode(payload));
        break;
      case FrameType.TYPING: {
        const { user, name, stopped } = TypingPayload.decode(payload);
        const conversation = key.toString();
        events.emit({ type: 'typing', conversation, user: user.toString(), name, stopped });
        break;
      }
      case FrameType.MEMBERS_CHANGED:
        this.#membersChanged(key, MembersChanged.decode(payload));
        break;
      case FrameType.RESYNC:
        this.#parts.onResync(ref);
        break;
      default:
      // A later version of the protocol may send more types: they are for clients that know them.
    }
  }

  /** The next message of a conversation has come. */
  deliver(conversation: bigint, message: Message): void {
    const { events, idPrefix, outbox } = this.#parts;
    if (message.sender === this.#user && message.clientMsgId.startsWith(idPrefix)) {
      // An own send that the log shows: its SENT is late or lost. What is settled already is not told twice.
      const { seq, id, atMs } = message;
      const receipt = { seq: Number(seq), id: id.toString(), atMs: Number(atMs), duplicate: undefined };
      outbox.committed(message.clientMsgId, receipt);
      return;
    }
    events.emit({ type: 'message', ...toChatMessage(conversation.toString(), message) });
  }

  /** The user is out of a conversation whose last messages have come. */
  gone({ conversation, reason }: Gone): void {
    const { events, inbox } = this.#parts;
    const known = inbox.forget(conversation);
    // A push had told of it, and nothing of it was for this user.
    if (known === undefined) return;
    const why = REASONS[reason] ?? 'deleted';
    events.emit({ type: 'left', conversation: conversation.toString(), name: known.name, reason: why });
  }

  #membersChanged(key: bigint, changed: MembersChanged): void {
    const { change, user, name, by, afterSeq } = changed;
    const news = { type: 'member', conversation: key.toString(), user: user.toString(), name, by } as const;
    if (change === MemberChange.MEMBER_CHANGE_ROLE) {
      const role = toRole(changed.role) ?? 'member';
      if (user === this.#user) this.#parts.inbox.setRole(key, role);
      this.#parts.events.emit({ ...news, change: 'role', role, afterSeq: Number(afterSeq) });
      return;
    }
    const what = CHANGES[change];
    // What became of this user itself, on this device or another one, the log tells, behind the last messages.
    if (what === undefined || user === this.#user) {
      this.#parts.syncer.want(false);
      return;
    }
    this.#parts.events.emit({ ...news, change: what, afterSeq: Number(afterSeq) });
  }

  #take(conversation: bigint, seq: number, message: Message | undefined): void {
    const { inbox, syncer } = this.#parts;
    inbox.push(conversation, seq, message);
    if (!inbox.incomplete) return;
    // Of a conversation that is new here only the log knows where it begins.
    if (inbox.knows(conversation)) syncer.wantIfIncomplete();
    else syncer.want(false);
  }
}
