/** Checks of one client's view against the log and the memberships. */
import type { EntryOf } from './history.ts';
import type { InstanceView, Paged, SeenConversation, Shown } from './instance-view.ts';
import type { Memberships } from './memberships.ts';
import type { Orders } from './orders.ts';
import type { Accuse } from './rules.ts';

/** The facts that a client is judged by. */
export interface ClientWorld {
  readonly instances: ReadonlyMap<string, InstanceView>;
  /** By conversation, ascending by seq. */
  readonly log: ReadonlyMap<string, readonly EntryOf<'log'>[]>;
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
    const floorOf = (seq: number, { at }: Shown) =>
      this.#world.memberships.floor(user, conversation, seq, at);
    for (const [seq, shown] of seen.shown) {
      this.#judgeIdentity(name, conversation, seq, shown);
      if (floorOf(seq, shown) === undefined)
        accuse('members only', `${name} saw ${conversation}/${seq}, which was not for ${user} then`);
    }
    const hole = seen.hole(end, (seq, shown) => floorOf(seq, shown) ?? seq);
    if (hole !== undefined) accuse('no loss', `${name}: ${conversation}/${hole} is missing`);
    const first = seen.shown.get(seen.first);
    const floor = first === undefined ? undefined : floorOf(seen.first, first);
    // A named device without a cursor uses that of the unnamed ones.
    const unnamed = this.#world.isStored(view, conversation) ? 0 : seen.unnamedBefore;
    if (floor !== undefined && seen.start() > Math.max(seen.headBefore, unnamed, floor) + 1)
      accuse(
        'resume anywhere',
        `${name} began ${conversation} at ${seen.start()}, its device had come to ${seen.headBefore}`,
      );
  }

  /** Checks that history reads match the log and were visible to the user. */
  #judgePaged({ name, user }: InstanceView, page: Paged): void {
    const { accuse, memberships } = this.#world;
    const { conversation, seq, at } = page;
    this.#judgeIdentity(name, conversation, seq, page);
    if (memberships.floor(user, conversation, seq, at) === undefined)
      accuse('members only', `${name} read ${conversation}/${seq}, which was not for ${user} then`);
  }

  /** Checks that each shown message is the log's at that seq. */
  #judgeIdentity(name: string, conversation: string, seq: number, shown: Shown): void {
    const { accuse } = this.#world;
    const logged = this.#world.log.get(conversation)?.[seq - 1];
    if (logged === undefined)
      accuse('no phantom', `${name} saw ${conversation}/${seq}, which is not in the log`);
    else if (logged.id !== shown.id)
      accuse('one order', `${name} saw ${shown.id} as ${conversation}/${seq}, the log has ${logged.id}`);
    else if (logged.text !== shown.text)
      accuse(
        'one order',
        `${name} saw "${short(shown.text)}" as ${conversation}/${seq}, the log has "${short(logged.text)}"`,
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

/** A text without its filler. */
export function short(text: string): string {
  return text.split(' ', 2).join(' ');
}
