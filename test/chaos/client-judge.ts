/** Checks of one client's view against the log and the memberships. */
import { type FoldedLog, short } from './folded-log.ts';
import type { EntryOf } from './history.ts';
import type { InstanceView, Paged, SeenConversation, Shown } from './instance-view.ts';
import type { Memberships } from './memberships.ts';
import type { Floors } from './floors.ts';
import type { Orders } from './orders.ts';
import type { Accuse } from './rules.ts';

/** The facts that a client is judged by. */
export interface ClientWorld {
  readonly instances: ReadonlyMap<string, InstanceView>;
  /** By conversation, ascending by seq. */
  readonly log: ReadonlyMap<string, readonly EntryOf<'log'>[]>;
  readonly folded: ReadonlyMap<string, FoldedLog>;
  readonly floors: Floors;
  /** When a RETRACT was first acknowledged, by conversation and seq; Unix ms. */
  readonly retractions: ReadonlyMap<string, number>;
  readonly memberships: Memberships;
  readonly orders: Orders;
  /** Final progress of the clients of its device. */
  readonly headOf: (view: InstanceView, conversation: string) => number;
  /** Returns whether the store knew its device's progress when it was started. */
  readonly isStored: (view: InstanceView, conversation: string) => boolean;
  /** When the last fault ended, and the conversations with messages since. */
  readonly quiescent: { readonly sinceMs: number; readonly conversations: ReadonlySet<string> } | undefined;
  readonly accuse: Accuse;
}

export class ClientJudge {
  readonly #world: ClientWorld;

  constructor(world: ClientWorld) {
    this.#world = world;
  }

  judge(view: InstanceView): void {
    const { accuse } = this.#world;
    const { name, user, end } = view;
    if (view.alive) this.#judgeCoverage(view);
    const order = this.#world.orders.ignoredBy(view);
    if (order !== undefined) accuse('evicted', `${name} lives on after the ${order.what} of ${user}`);
    if (end?.why === 'ended' && !this.#hadRival(view) && !this.#world.orders.explain(view))
      accuse('no false eviction', `${name} gave up with ${end.code}`);
    for (const page of view.pages) this.#judgePaged(view, page);
    if (view.alive) for (const held of view.held) this.#judgeHeld(view, held);
    for (const seen of view.past) this.#judgeSeen(view, seen, undefined);
    for (const seen of view.conversations.values()) {
      const { conversation } = seen;
      const after = this.#world.memberships.after(user, conversation);
      const last = this.#world.log.get(conversation)?.length ?? 0;
      this.#judgeSeen(view, seen, view.alive && after !== undefined ? { after, last } : undefined);
      if (view.alive && after === undefined && seen.first > 0)
        accuse('told', `${name} was not told that it is out of ${conversation}`);
    }
  }

  /** Checks that a client was shown a conversation as in the log, for its user, without a hole. */
  #judgeSeen(
    view: InstanceView,
    seen: SeenConversation,
    end: { readonly after: number; readonly last: number } | undefined,
  ): void {
    const { accuse } = this.#world;
    const { name, user } = view;
    const { conversation } = seen;
    // What sank below the floor meanwhile is missing rightly.
    const floor = this.#world.floors.last(conversation);
    const floorOf = (seq: number, { at }: Shown) => {
      const after = this.#world.memberships.floor(user, conversation, seq, at);
      return after === undefined ? undefined : Math.max(after, floor);
    };
    const isSilent = (seq: number, after: number) =>
      this.#world.folded.get(conversation)?.isSilent(seq, after) === true;
    for (const [seq, shown] of seen.shown) {
      this.#judgeIdentity(name, shown);
      this.#judgeLeak(view, shown);
      if (floorOf(seq, shown) === undefined)
        accuse('members only', `${name} saw ${conversation}/${seq}, which was not for ${user} then`);
    }
    const hole = seen.hole(end, (seq, shown) => floorOf(seq, shown) ?? seq, isSilent);
    if (hole !== undefined) accuse('no loss', `${name}: ${conversation}/${hole} is missing`);
    const first = seen.shown.get(seen.first);
    const firstFloor = first === undefined ? undefined : floorOf(seen.first, first);
    // A named device without a cursor uses that of the unnamed ones.
    const unnamed = this.#world.isStored(view, conversation) ? 0 : seen.unnamedBefore;
    if (firstFloor === undefined) return;
    const begin = Math.max(seen.headBefore, unnamed, firstFloor) + 1;
    let start = seen.start();
    while (start > begin && isSilent(start - 1, firstFloor)) start--;
    if (start > begin)
      accuse(
        'resume anywhere',
        `${name} began ${conversation} at ${start}, its device had come to ${seen.headBefore}`,
      );
  }

  /** Checks that history reads match the log and were visible to the user. */
  #judgePaged(view: InstanceView, page: Paged): void {
    const { name, user } = view;
    const { accuse, memberships } = this.#world;
    const { conversation, seq, at } = page;
    this.#judgeIdentity(name, page);
    this.#judgeLeak(view, page);
    this.#judgeErased(view, page);
    if (seq <= this.#world.floors.before(conversation, page.since))
      accuse('erased', `${name} read ${conversation}/${seq}, which is below the floor`);
    if (memberships.floor(user, conversation, seq, at) === undefined)
      accuse('members only', `${name} read ${conversation}/${seq}, which was not for ${user} then`);
  }

  /** Checks that each shown entry is the log's at that seq, with the text of its version. */
  #judgeIdentity(name: string, shown: Shown): void {
    const { accuse, log, folded } = this.#world;
    const { conversation, seq, id } = shown;
    const logged = log.get(conversation)?.[seq - 1];
    if (logged === undefined)
      accuse('no phantom', `${name} saw ${conversation}/${seq}, which is not in the log`);
    else if (logged.id !== id)
      accuse('one order', `${name} saw ${id} as ${conversation}/${seq}, the log has ${logged.id}`);
    else if (shown.entry !== 'ack') {
      const fault = folded.get(conversation)?.fault(shown);
      if (fault !== undefined) accuse('one text', `${name} saw ${conversation}/${seq}, which ${fault}`);
    } else if (logged.entry === 'message' && logged.text !== shown.text)
      accuse(
        'one text',
        `${name}: "${short(shown.text)}" was acked as ${conversation}/${seq}, which is another`,
      );
  }

  /**
   * Checks that an entry says nothing about another message that its reader might not read then, and that no text is
   * newer than the reader's last entry.
   */
  #judgeLeak({ name, user }: InstanceView, shown: Shown): void {
    const { accuse, memberships } = this.#world;
    const { conversation, seq, entry, text, version, target, quote, at } = shown;
    if (entry === 'ack') return;
    const mayRead = (other: number) => memberships.floor(user, conversation, other, at) !== undefined;
    const what = `${name} saw ${conversation}/${seq}`;
    if (text !== '' && version > 0 && !mayRead(version))
      accuse('no leak', `${what} with the text of ${version}, which was not for ${user} then`);
    if (target > 0 && !mayRead(target))
      accuse('no leak', `${what} about ${target}, which was not for ${user} then`);
    if (quote === undefined || quote.text === '') return;
    if (!mayRead(quote.seq) || (quote.version > 0 && !mayRead(quote.version)))
      accuse('no leak', `${what} with a quote of ${quote.seq}, which was not for ${user} then`);
  }

  /** Checks that a page that was asked for after a retraction had been acknowledged has none of the text. */
  #judgeErased({ name }: InstanceView, page: Paged): void {
    const { accuse, folded, retractions } = this.#world;
    const { conversation, seq, entry, text, target, quote, since } = page;
    const isErased = (message: number) => {
      const by = folded.get(conversation)?.retractedBy(message);
      return (
        by !== undefined && (retractions.get(`${conversation} ${by}`) ?? Number.POSITIVE_INFINITY) < since
      );
    };
    const message = entry === 'edit' ? target : seq;
    if (text !== '' && isErased(message))
      accuse('erased', `${name} read the text of ${conversation}/${message} after its retraction`);
    if (quote !== undefined && quote.text !== '' && isErased(quote.seq))
      accuse('erased', `${name} read a quote of ${conversation}/${quote.seq} after its retraction`);
  }

  /** Checks that what a client holds at the end is the message after all entries. */
  #judgeHeld({ name, user }: InstanceView, held: EntryOf<'held'>): void {
    const { accuse, memberships, floors, folded } = this.#world;
    const { conversation, seq } = held;
    const after = memberships.after(user, conversation);
    if (after === undefined || seq <= Math.max(after, floors.last(conversation))) return;
    const expected = folded.get(conversation)?.message(seq);
    if (
      expected === undefined ||
      expected.text !== held.text ||
      expected.version !== held.version ||
      expected.retracted !== held.retracted
    )
      accuse(
        'one view',
        `${name} holds ${conversation}/${seq} as of ${held.version}, it is as of ${expected?.version}`,
      );
  }

  /**
   * Checks that a live client was shown the end of each conversation of its user, or its device was before. A client
   * that was connected since the last fault must itself have been shown all messages since.
   */
  #judgeCoverage(view: InstanceView): void {
    const { name, user, conversations, lastUp } = view;
    const { accuse, quiescent } = this.#world;
    for (const [conversation, log] of this.#world.log) {
      const after = this.#world.memberships.after(user, conversation);
      if (after === undefined || after >= log.length || conversations.has(conversation)) continue;
      const head = this.#world.headOf(view, conversation);
      if (head < log.length) accuse('no loss', `${name}: all of ${conversation} after ${head} is missing`);
      else if (
        quiescent !== undefined &&
        lastUp !== undefined &&
        lastUp.at < quiescent.sinceMs &&
        quiescent.conversations.has(conversation)
      )
        accuse('no loss', `${name} was shown nothing of ${conversation}, others of its user were`);
    }
  }

  /** Returns whether another client of the same device was alive when it was replaced. */
  #hadRival({ name, group, device, started, end }: InstanceView): boolean {
    if (device === '' || end?.code !== 'SESSION_REPLACED') return false;
    const ended = end?.at ?? Number.POSITIVE_INFINITY;
    return [...this.#world.instances.values()].some(
      (other) =>
        other.name !== name &&
        other.group === group &&
        other.started <= ended &&
        (other.end?.at ?? ended) >= started,
    );
  }
}
