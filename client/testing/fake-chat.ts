/** A chat server in memory for tests: accounts, conversations and logs of entries, folded by their definition. */
import type {
  Conversation as WireConversation,
  ConversationEntries,
  Draft,
  Gone,
  HistoryPage,
  HistoryPoint,
  Member,
  Pins,
  Quote,
  Receipt,
  Room,
  SetSettings,
  Settings,
  Sync,
  SyncPage,
  User,
  UserPresence,
} from '../../proto/client.ts';
import {
  ConversationKind,
  cutQuote,
  EntryKind,
  MemberChange,
  Message,
  PresenceStatus,
  Role,
  Self,
  type Send,
  System,
  type SystemEvent,
} from '../../proto/client.ts';

interface FakeConversation {
  readonly id: bigint;
  readonly kind: ConversationKind;
  readonly name: string;
  readonly members: Set<bigint>;
  /** As appended, not folded. */
  readonly log: Message[];
  /** Seqs of the messages that replies quote. */
  readonly quoted: Map<bigint, bigint>;
  /** By sender and client_msg_id. */
  readonly index: Map<string, Message>;
}

export class FakeChat {
  readonly users = new Map<string, bigint>();
  readonly displayNames = new Map<bigint, string>();
  readonly conversations = new Map<bigint, FakeConversation>();
  /** Delivered cursors by `user/conversation`. */
  readonly delivered = new Map<string, bigint>();
  /** Read cursors by `user/conversation`. */
  readonly read = new Map<string, bigint>();
  /** Of those that have gone back. */
  readonly epochs = new Map<string, bigint>();
  /** By `user/room`; whoever is missing is a plain member. */
  readonly roles = new Map<string, Role>();
  /** Former members: `user/conversation` to how the membership ended. */
  readonly former = new Map<string, { reason: MemberChange; lastSeq: bigint }>();
  /** By `user/conversation`. */
  readonly mutes = new Map<string, bigint>();
  readonly drafts = new Map<string, Draft>();
  /** When users were last seen who are offline. */
  readonly seen = new Map<bigint, bigint>();
  /** By user. */
  readonly settings = new Map<bigint, Settings>();
  #nextConversation = 1000n;

  addUser(name: string): bigint {
    const id = BigInt(this.users.size + 1);
    this.users.set(name, id);
    return id;
  }

  nameOf(user: bigint): string {
    for (const [name, id] of this.users) if (id === user) return name;
    return '';
  }

  epochOf(user: bigint, conversation: bigint): bigint {
    return this.epochs.get(`${user}/${conversation}`) ?? 0n;
  }

  displayNameOf(user: bigint): string {
    return this.displayNames.get(user) ?? this.nameOf(user);
  }

  user(id: bigint): User {
    return { id, name: this.nameOf(id), displayName: this.displayNameOf(id) };
  }

  /** How a user is; undefined: there is none. */
  presenceOf(user: bigint): UserPresence | undefined {
    if (this.nameOf(user) === '') return undefined;
    const lastSeenMs = this.seen.get(user);
    const { PRESENCE_STATUS_ONLINE, PRESENCE_STATUS_OFFLINE } = PresenceStatus;
    return {
      user,
      status: lastSeenMs === undefined ? PRESENCE_STATUS_ONLINE : PRESENCE_STATUS_OFFLINE,
      lastSeenMs: lastSeenMs ?? 0n,
    };
  }

  /** Moves a user's cursors in a conversation; of two read cursors the one with the greater epoch counts. */
  receive(user: bigint, { conversation, deliveredSeq, readSeq, readEpoch }: Receipt): void {
    const key = `${user}/${conversation}`;
    this.delivered.set(key, deliveredSeq);
    if (readEpoch === this.epochOf(user, conversation) && readSeq > (this.read.get(key) ?? 0n))
      this.read.set(key, readSeq);
  }

  /** Read cursors of a user. */
  reads(user: bigint): Receipt[] {
    return [...this.read].flatMap(([key, readSeq]) => {
      const [reader, conversation = ''] = key.split('/');
      if (reader !== String(user)) return [];
      return [
        {
          conversation: BigInt(conversation),
          deliveredSeq: 0n,
          readSeq,
          readEpoch: this.epochs.get(key) ?? 0n,
          thread: 0n,
        },
      ];
    });
  }

  /** What a user's devices share besides. */
  selfOf(user: bigint): Self {
    const isOwn = ([key]: readonly [string, unknown]) => key.startsWith(`${user}/`);
    const mutes = [...this.mutes].filter(isOwn);
    return Self.create({
      mutes: mutes.map(([key, untilMs]) => ({ conversation: BigInt(key.split('/')[1] ?? ''), untilMs })),
      drafts: [...this.drafts].filter(isOwn).map(([, draft]) => draft),
      settings: this.settings.get(user) ?? { version: 1n, settings: [] },
    });
  }

  setSettings(user: bigint, { settings: changes, ifVersion }: SetSettings): Settings | undefined {
    const { version, settings } = this.settings.get(user) ?? { version: 1n, settings: [] };
    if (ifVersion !== 0n && ifVersion !== version) return undefined;
    const kept = settings.filter(({ name }) => !changes.some((change) => change.name === name));
    const changed = { version: version + 1n, settings: [...kept, ...changes] };
    this.settings.set(user, changed);
    return changed;
  }

  addRoom(name: string, ...members: bigint[]): bigint {
    const id = this.#addConversation(ConversationKind.CONVERSATION_KIND_ROOM, name, members);
    if (members[0] !== undefined) this.roles.set(`${members[0]}/${id}`, Role.ROLE_OWNER);
    return id;
  }

  room(nameOrId: string): FakeConversation | undefined {
    for (const conversation of this.conversations.values()) {
      const isRoom = conversation.kind === ConversationKind.CONVERSATION_KIND_ROOM;
      if (isRoom && (conversation.name === nameOrId || conversation.id.toString() === nameOrId))
        return conversation;
    }
    return undefined;
  }

  rooms(user: bigint): Room[] {
    return [...this.conversations.values()]
      .filter(({ kind }) => kind === ConversationKind.CONVERSATION_KIND_ROOM)
      .map(({ id, members }) => {
        const { name, lastSeq, unread } = this.see(id, user);
        const joined = members.has(user);
        return { id, name, members: members.size, joined, lastSeq, unread: joined ? unread : 0n };
      });
  }

  direct(a: bigint, b: bigint): bigint {
    for (const { id, kind, members } of this.conversations.values()) {
      if (kind === ConversationKind.CONVERSATION_KIND_DIRECT && members.has(a) && members.has(b)) return id;
    }
    return this.#addConversation(ConversationKind.CONVERSATION_KIND_DIRECT, '', [a, b]);
  }

  /**
   * Appends unless (conversation, sender, clientMsgId) is in the log. Returns the code of a refusal; of the rules about
   * targets it has some.
   */
  append(
    id: bigint,
    sender: bigint,
    send: Pick<Send, 'clientMsgId' | 'text'> & Partial<Send>,
  ): { message: Message; duplicate: boolean } | string {
    const conversation = this.conversations.get(id);
    if (conversation === undefined || !conversation.members.has(sender)) return 'NOT_A_MEMBER';
    const { log, index, quoted } = conversation;
    const { clientMsgId, text, kind, range, reason, replyTo = 0n, thread = 0n } = send;
    const found = index.get(`${sender}/${clientMsgId}`);
    if (found !== undefined) return { message: found, duplicate: true };
    const target = send.targetClientMsgId
      ? index.get(`${sender}/${send.targetClientMsgId}`)
      : log[Number(send.target || replyTo) - 1];
    const isPlain = kind === undefined || kind === EntryKind.ENTRY_KIND_MESSAGE;
    if (target === undefined && range === undefined && !(isPlain && replyTo === 0n))
      return 'TARGET_NOT_FOUND';
    if (target !== undefined && target.kind !== EntryKind.ENTRY_KIND_MESSAGE) return 'TARGET_INVALID';
    if (kind === EntryKind.ENTRY_KIND_EDIT && target?.sender !== sender) return 'NOT_AUTHOR';
    const seq = target?.seq ?? 0n;
    if (seq > 0n && this.fold(id, BigInt(log.length), seq, seq)[0]?.retraction) return 'TARGET_RETRACTED';
    if (isPlain && seq > 0n) quoted.set(BigInt(log.length + 1), seq);
    const fields = { clientMsgId, text, kind, range, reason, thread, target: isPlain ? 0n : seq };
    const message = this.#add(conversation, sender, fields);
    index.set(`${sender}/${clientMsgId}`, message);
    return { message, duplicate: false };
  }

  /** Appends what the server records. */
  record(id: bigint, sender: bigint, event: SystemEvent, user: bigint, role?: Role): Message {
    const system = System.fromPartial({ event, user, name: this.displayNameOf(user), role });
    const kind = EntryKind.ENTRY_KIND_SYSTEM;
    return this.#add(this.conversations.get(id) as FakeConversation, sender, { kind, system });
  }

  /** Returns an entry as it is pushed. */
  pushed(id: bigint, message: Message): Message {
    const { quoted } = this.conversations.get(id) as FakeConversation;
    if (!quoted.has(message.seq)) return message;
    return this.fold(id, message.seq, message.seq, message.seq)[0] as Message;
  }

  /** Returns the entries first..last as those up to `asOf` have left them. */
  fold(id: bigint, asOf: bigint, first: bigint, last: bigint): Message[] {
    if (first > asOf) return [];
    const { log, quoted } = this.conversations.get(id) as FakeConversation;
    const folded = new Map<bigint, Message>();
    for (const entry of log.slice(0, Number(asOf))) {
      folded.set(entry.seq, { ...entry, from: this.displayNameOf(entry.sender) });
      const { seq, kind, range, sender: by, atMs, reason } = entry;
      const target = folded.get(entry.target);
      if (kind === EntryKind.ENTRY_KIND_EDIT && target !== undefined)
        folded.set(target.seq, { ...target, text: entry.text, version: seq });
      if (kind !== EntryKind.ENTRY_KIND_RETRACT) continue;
      for (const each of folded.values()) {
        const isHit =
          range === undefined
            ? each === target
            : each.sender === range.sender && each.seq >= range.fromSeq && each.seq <= range.toSeq;
        if (!isHit || each.kind !== EntryKind.ENTRY_KIND_MESSAGE) continue;
        folded.set(each.seq, { ...each, text: '', version: seq, retraction: { seq, by, atMs, reason } });
      }
    }
    return [...folded.values()]
      .filter(({ seq }) => seq >= first && seq <= last)
      .map((entry) => {
        const target = folded.get(entry.target);
        if (entry.kind === EntryKind.ENTRY_KIND_EDIT && target !== undefined)
          return { ...entry, text: target.text, version: target.version };
        const source = folded.get(quoted.get(entry.seq) ?? 0n);
        return source === undefined || entry.retraction ? entry : { ...entry, quote: quoteOf(source) };
      });
  }

  history(id: bigint, user: bigint, at: HistoryPoint | undefined, limit: number): HistoryPage {
    const { log } = this.conversations.get(id) as FakeConversation;
    const last = BigInt(log.length);
    const most = BigInt(limit || 50);
    const anchor = this.#anchor(id, user, at);
    const point = at?.point;
    let from = last - most + 1n;
    if (point?.$case === 'beforeSeq' && point.beforeSeq > 0n) from = point.beforeSeq - most;
    if (point?.$case === 'afterSeq') from = point.afterSeq + 1n;
    if (anchor > 0n) from = anchor - most / 2n;
    let to = from + most - 1n;
    if (from < 1n) from = 1n;
    if (to > last) to = last;
    return {
      messages: this.fold(id, last, from, to),
      more: from > 1n,
      moreAfter: to < last,
      asOf: last,
      anchorSeq: anchor,
      floorSeq: 0n,
    };
  }

  pins(id: bigint): Pins {
    const { log } = this.conversations.get(id) as FakeConversation;
    let pins: Message[] = [];
    let pinsVersion = 0n;
    for (const entry of log) {
      const isPin = entry.kind === EntryKind.ENTRY_KIND_PIN;
      if (isPin && !pins.some(({ target }) => target === entry.target)) pins = [entry, ...pins];
      if (entry.kind === EntryKind.ENTRY_KIND_UNPIN)
        pins = pins.filter(({ target }) => target !== entry.target);
      if (isPin || entry.kind === EntryKind.ENTRY_KIND_UNPIN) pinsVersion = entry.seq;
    }
    const last = BigInt(log.length);
    const messages = pins.flatMap(({ target, sender: by, atMs }) => {
      const [message] = this.fold(id, last, target, target);
      return message === undefined || message.retraction ? [] : [{ message, by, atMs }];
    });
    return { pins: messages, pinsVersion, next: '' };
  }

  see(id: bigint, user: bigint): WireConversation {
    const { kind, name, members, log } = this.conversations.get(id) as FakeConversation;
    const isRoom = kind === ConversationKind.CONVERSATION_KIND_ROOM;
    const peer = [...members].find((member) => member !== user) ?? user;
    const readSeq = this.read.get(`${user}/${id}`) ?? 0n;
    const isMessage = (entry: Message) => entry.kind === EntryKind.ENTRY_KIND_MESSAGE && entry.thread === 0n;
    const folded = this.fold(id, BigInt(log.length), readSeq + 1n, BigInt(log.length));
    const last = log.findLast(isMessage);
    return {
      id,
      kind,
      name: isRoom ? name : this.nameOf(peer),
      lastSeq: BigInt(log.length),
      deliveredSeq: this.delivered.get(`${user}/${id}`) ?? 0n,
      readSeq,
      unread: BigInt(
        folded.filter((entry) => isMessage(entry) && entry.sender !== user && !entry.retraction).length,
      ),
      role: this.roleOf(user, id),
      peer: isRoom ? 0n : peer,
      visibleAfterSeq: 0n,
      floorSeq: 0n,
      pinsVersion: this.pins(id).pinsVersion,
      activeAtMs: last?.atMs ?? 1_700_000_000_000n,
      lastMessage: last && this.fold(id, BigInt(log.length), last.seq, last.seq)[0],
      readEpoch: this.epochOf(user, id),
      threadsUnread: 0n,
      mutedUntilMs: 0n,
    };
  }

  sync(user: bigint, { cursors, limit, pushed, newest, after, until }: Sync): SyncPage {
    const known = new Map(cursors.map(({ conversation, seq }) => [conversation, seq]));
    for (const { conversation, seq } of pushed) {
      const delivered = this.delivered.get(`${user}/${conversation}`) ?? 0n;
      known.set(conversation, seq < delivered ? seq : delivered);
    }
    const isIn = (id: bigint) => id > after && (until === 0n || id <= until);
    const page: ConversationEntries[] = [];
    let room = limit || 200;
    let more = false;
    const add = (id: bigint, asOf: bigint) => {
      let afterSeq = known.get(id) ?? this.delivered.get(`${user}/${id}`) ?? 0n;
      if (newest > 0 && asOf - afterSeq > BigInt(newest)) afterSeq = asOf - BigInt(newest);
      const messages = this.fold(id, asOf, afterSeq + 1n, afterSeq + BigInt(room));
      if (afterSeq + BigInt(messages.length) < asOf) more = true;
      room -= messages.length;
      if (messages.length > 0) page.push({ conversation: this.see(id, user), messages, afterSeq, asOf });
    };
    const own = [...this.conversations.values()].filter(({ id, members }) => members.has(user) && isIn(id));
    for (const { id, log } of own.toSorted((a, b) => Number(a.id - b.id))) add(id, BigInt(log.length));
    for (const { id, kind, log } of own) {
      const isNew = log.length === 0 && !known.has(id) && kind === ConversationKind.CONVERSATION_KIND_ROOM;
      if (more || !isNew) continue;
      page.push({ conversation: this.see(id, user), messages: [], afterSeq: 0n, asOf: 0n });
    }
    const gone: Gone[] = [];
    for (const { conversation } of [...cursors, ...pushed]) {
      if (this.conversations.get(conversation)?.members.has(user) === true) continue;
      const { reason = MemberChange.MEMBER_CHANGE_DELETED, lastSeq = 0n } =
        this.former.get(`${user}/${conversation}`) ?? {};
      if (this.conversations.has(conversation)) add(conversation, lastSeq);
      gone.push({ conversation, reason, lastSeq });
    }
    return { conversations: page, more, gone: more ? [] : gone };
  }

  /** Removes a user from a room. */
  leave(id: bigint, user: bigint, reason: MemberChange = MemberChange.MEMBER_CHANGE_LEFT): void {
    const conversation = this.conversations.get(id);
    if (conversation?.members.delete(user) !== true) return;
    this.former.set(`${user}/${id}`, { reason, lastSeq: BigInt(conversation.log.length) });
  }

  members(id: bigint): Member[] {
    const members = this.conversations.get(id)?.members ?? new Set();
    return [...members].map((user) => {
      const { name, displayName } = this.user(user);
      return { user, name, online: true, role: this.roleOf(user, id), displayName };
    });
  }

  roleOf(user: bigint, room: bigint): Role {
    return this.roles.get(`${user}/${room}`) ?? Role.ROLE_MEMBER;
  }

  /** Returns the entry that a point of history finds; 0: none. */
  #anchor(id: bigint, user: bigint, at: HistoryPoint | undefined): bigint {
    const { log } = this.conversations.get(id) as FakeConversation;
    const find = (accept: (entry: Message) => boolean) => log.find(accept)?.seq ?? 0n;
    const read = this.read.get(`${user}/${id}`) ?? 0n;
    const point = at?.point;
    if (point?.$case === 'aroundSeq') return find(({ seq }) => seq === point.aroundSeq);
    if (point?.$case === 'dateMs') return find(({ atMs }) => atMs >= point.dateMs);
    if (point?.$case !== 'firstUnread') return 0n;
    return find(({ seq, kind }) => seq > read && kind === EntryKind.ENTRY_KIND_MESSAGE);
  }

  #add({ id, log }: FakeConversation, sender: bigint, fields: Partial<Message>): Message {
    const seq = BigInt(log.length + 1);
    const from = this.displayNameOf(sender);
    const place = { seq, id: id * 1_000_000n + seq, sender, from, atMs: 1_700_000_000_000n + seq };
    const message = Message.fromPartial({ ...fields, ...place });
    log.push(message);
    return message;
  }

  #addConversation(kind: ConversationKind, name: string, members: bigint[]): bigint {
    const id = this.#nextConversation++;
    const empty = { log: [], index: new Map(), quoted: new Map() };
    this.conversations.set(id, { id, kind, name, members: new Set(members), ...empty });
    return id;
  }
}

function quoteOf({ seq, sender, from, text, version, retraction }: Message): Quote {
  const retracted = retraction !== undefined;
  return { seq, sender, from, ...cutQuote(text), retracted, expired: false, version };
}
