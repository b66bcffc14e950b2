/** The checker: reads the history of a run and reports every violation of GoChat's promises. */
import { ClientJudge } from './client-judge.ts';
import { Cursors } from './cursors.ts';
import { Floors } from './floors.ts';
import { FoldedLog, short } from './folded-log.ts';
import type { Entry, EntryOf } from './history.ts';
import { InstanceView } from './instance-view.ts';
import { Memberships } from './memberships.ts';
import { Orders } from './orders.ts';
import { Refusals, userOf } from './refusals.ts';
import type { Rule } from './rules.ts';

export interface Violation {
  readonly rule: Rule;
  readonly what: string;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  /** Violations beyond those listed. */
  readonly more: number;
  readonly sends: number;
  readonly acked: number;
  /** Sends without an ack, by the client's error; '' if the client ended first. */
  readonly failed: Readonly<Record<string, number>>;
  /** Messages in the log without an ack: they are visible to all members. */
  readonly unackedPresent: number;
  readonly messages: number;
  readonly deliveries: number;
  /** Clients that were connected at least once. */
  readonly instances: number;
  readonly reconnects: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Number of joins and leaves. */
  readonly changes: Readonly<Record<'joined' | 'left', number>>;
  readonly convergedMs: number | undefined;
}

/** Beyond so many entries this stands for the number of unread messages. */
const MAX_UNREAD = 1000;
/** Most violations listed per rule: one broken everywhere must not hide others. */
const MAX_LISTED = 20;

type Logged = EntryOf<'log'>;

/** Reads a history; `verdict` judges it at the end. */
export class Checker {
  readonly #instances = new Map<string, InstanceView>();
  /** Highest seq shown to any client of a device, by device and conversation. */
  readonly #heads = new Map<string, number>();
  readonly #sends = new Map<string, EntryOf<'send'>>();
  readonly #sendsById = new Map<string, EntryOf<'send'>>();
  readonly #acks: EntryOf<'acked'>[] = [];
  readonly #refusals = new Refusals();
  readonly #log = new Map<string, Logged[]>();
  readonly #byText = new Map<string, Logged>();
  readonly #folded = new Map<string, FoldedLog>();
  readonly #floors = new Floors();
  /** When a RETRACT was first acknowledged, by conversation and seq; Unix ms. */
  readonly #retractions = new Map<string, number>();
  readonly #stored: EntryOf<'stored'>[] = [];
  readonly #views = new Map<string, EntryOf<'view'>[]>();
  readonly #badges: EntryOf<'badge'>[] = [];
  readonly #memberships = new Memberships();
  readonly #orders = new Orders();
  readonly #cursors = new Cursors((rule, what) => this.#accuse(rule, what));
  readonly #faults: Record<string, number> = {};
  readonly #violations: Violation[] = [];
  /** Number of violations, by rule. */
  readonly #counts = new Map<Rule, number>();
  readonly #changes = { joined: 0, left: 0 };
  #deliveries = 0;
  #reconnects = 0;
  #converged: EntryOf<'converged'> | undefined;
  #quiescent: EntryOf<'quiescent'> | undefined;

  /** Adds the next entry; entries of one client and its device come in order. */
  add(entry: Entry): void {
    this.#orders.passed(entry.at);
    switch (entry.kind) {
      case 'start':
        this.#instances.set(entry.instance, new InstanceView(entry));
        break;
      case 'up':
        if (this.#view(entry).connected(entry)) this.#reconnects++;
        break;
      case 'end':
        this.#view(entry).end = entry;
        break;
      case 'send':
        if (this.#sends.has(entry.text)) this.#accuse('history', `${entry.text} was sent twice`);
        this.#sends.set(entry.text, entry);
        this.#sendsById.set(entry.clientMsgId, entry);
        this.#refusals.add(entry);
        break;
      case 'acked':
        this.#acks.push(entry);
        if (this.#sends.get(entry.text)?.entry === 'retract') this.#retracted(entry);
        this.#refusals.add(entry);
        this.#show(entry, this.#view(entry).acked(entry));
        break;
      case 'failed':
      case 'call':
        this.#refusals.add(entry);
        break;
      case 'message':
        this.#deliveries++;
        this.#show(entry, this.#view(entry).message(entry));
        break;
      case 'page':
        this.#view(entry).pages.push(entry);
        break;
      case 'held':
        this.#view(entry).held.push(entry);
        break;
      case 'skipped':
        this.#view(entry).skipped(entry.conversation, entry.seq);
        break;
      case 'stored':
        this.#stored.push(entry);
        break;
      case 'floor':
        this.#floors.add(entry);
        break;
      case 'stuck':
        this.#accuse('convergence', `${entry.instance}: ${entry.what}`);
        break;
      case 'stale':
        this.#accuse('watches', `${entry.instance} shows ${entry.what}`);
        break;
      case 'log':
        list(this.#log, entry.conversation).push(entry);
        break;
      case 'view':
        list(this.#views, `${entry.user} ${entry.conversation}`).push(entry);
        break;
      case 'membership':
        this.#changes[entry.change]++;
        this.#memberships.add(entry);
        break;
      case 'left':
        this.#view(entry).left(entry.conversation);
        break;
      case 'marked':
        this.#cursors.marked(entry);
        break;
      case 'cursor':
        this.#cursors.add(entry);
        break;
      case 'badge':
        this.#badges.push(entry);
        break;
      case 'fault':
        this.#faults[entry.name] = (this.#faults[entry.name] ?? 0) + 1;
        this.#orders.fault(entry);
        break;
      case 'order':
        this.#orders.add(entry);
        break;
      case 'crash':
        this.#accuse('no crash', `${entry.process}: ${entry.what}`);
        break;
      case 'converged':
        this.#converged = entry;
        break;
      case 'quiescent':
        this.#quiescent = entry;
        break;
    }
  }

  /** Judges the history; call it once. */
  verdict(): Verdict {
    this.#judgeLog();
    const acked = this.#judgeAcks();
    const failed = this.#refusals.judge({
      sends: this.#sends,
      acked,
      logged: this.#byText,
      folded: this.#folded,
      floors: this.#floors,
      memberships: this.#memberships,
      isAlive: (instance) => this.#instances.get(instance)?.alive === true,
      accuse: (rule, what) => this.#accuse(rule, what),
    });
    const clients = new ClientJudge({
      instances: this.#instances,
      log: this.#log,
      folded: this.#folded,
      floors: this.#floors,
      retractions: this.#retractions,
      memberships: this.#memberships,
      orders: this.#orders,
      headOf: ({ group, user }, conversation) =>
        Math.max(this.#head(group, conversation), this.#head(`${user}/`, conversation)),
      isStored: ({ group, started }, conversation) => this.#cursors.isStored(group, conversation, started),
      quiescent: this.#quiescentConversations(),
      accuse: (rule, what) => this.#accuse(rule, what),
    });
    for (const view of this.#instances.values()) clients.judge(view);
    this.#judgeOrderOfSenders();
    this.#judgeViews();
    this.#judgeStored();
    for (const badge of this.#badges) this.#judgeBadge(badge);
    this.#cursors.judgeRead();
    if (this.#quiescent !== undefined)
      this.#cursors.judgeQuiescent(this.#quiescent.since, this.#instances.values(), this.#memberships);
    this.#judgeConvergence();
    let messages = 0;
    for (const log of this.#log.values()) messages += log.length;
    return {
      violations: this.#violations,
      more: [...this.#counts.values()].reduce((sum, count) => sum + count, 0) - this.#violations.length,
      sends: this.#sends.size,
      acked: acked.size,
      failed,
      unackedPresent: [...this.#byText.keys()].filter((text) => !acked.has(text)).length,
      messages,
      deliveries: this.#deliveries,
      instances: [...this.#instances.values()].filter(({ wasUp }) => wasUp).length,
      reconnects: this.#reconnects,
      faults: this.#faults,
      changes: this.#changes,
      convergedMs: this.#converged?.ms,
    };
  }

  #view(entry: { readonly instance: string }): InstanceView {
    const view = this.#instances.get(entry.instance);
    if (view === undefined) throw new Error(`the history has no start of ${entry.instance}`);
    return view;
  }

  #accuse(rule: Rule, what: string): void {
    const count = (this.#counts.get(rule) ?? 0) + 1;
    this.#counts.set(rule, count);
    if (count <= MAX_LISTED) this.#violations.push({ rule, what });
  }

  /** Records a shown message, with its device's progress before, which determines where it may begin. */
  #show(entry: EntryOf<'message'> | EntryOf<'acked'>, breach: string | undefined): void {
    const { instance, conversation, seq } = entry;
    if (breach !== undefined) this.#accuse('once, in order', `${instance}: ${breach}`);
    this.#memberships.known(conversation, seq, entry.at);
    const view = this.#view(entry);
    const { group, user } = view;
    const head = this.#head(group, conversation);
    if (entry.kind === 'message') view.began(conversation, seq, head, this.#head(`${user}/`, conversation));
    if (seq > head) this.#heads.set(`${group} ${conversation}`, seq);
  }

  /** Progress of the clients of a group. */
  #head(group: string, conversation: string): number {
    return this.#heads.get(`${group} ${conversation}`) ?? 0;
  }

  /** Returns the conversations with messages after the last fault. */
  #quiescentConversations():
    | { readonly sinceMs: number; readonly conversations: ReadonlySet<string> }
    | undefined {
    if (this.#quiescent === undefined) return undefined;
    const sinceMs = this.#quiescent.since;
    const conversations = new Set<string>();
    for (const [text, { at, conversation }] of this.#sends)
      if (at >= sinceMs && this.#byText.has(text)) conversations.add(conversation);
    return { sinceMs, conversations };
  }

  /** Checks the log: contiguous from 1, each text once, from its sender, in its conversation. */
  #judgeLog(): void {
    const ids = new Set<string>();
    for (const [conversation, log] of this.#log) {
      log.sort((a, b) => a.seq - b.seq);
      for (const [index, entry] of log.entries()) {
        const { seq, id, from } = entry;
        if (seq !== index + 1) {
          this.#accuse('contiguous', `${conversation}: seq ${seq} stands where ${index + 1} should`);
          break;
        }
        if (ids.has(id)) this.#accuse('one order', `message id ${id} is in the log twice`);
        ids.add(id);
        if (entry.entry === 'system') continue;
        const text = this.#textOf(entry);
        const other = this.#byText.get(text);
        if (other !== undefined)
          this.#accuse(
            'exactly once',
            `"${short(text)}" is in the log at ${other.seq} and at ${seq} of ${conversation}`,
          );
        this.#byText.set(text, entry);
        const send = this.#sends.get(text);
        if (send === undefined)
          this.#accuse('no phantom', `"${short(text)}" at ${seq} of ${conversation} was never sent`);
        else if (send.conversation !== conversation || userOf(send.instance) !== from)
          this.#accuse('no phantom', `"${short(text)}" of ${send.instance} is in ${conversation} by ${from}`);
        else if (send.entry !== entry.entry)
          this.#accuse('no phantom', `"${short(text)}" was sent as a ${send.entry} and is a ${entry.entry}`);
      }
      this.#folded.set(conversation, new FoldedLog(log.map((logged) => this.#asSent(logged))));
    }
  }

  /** Adds to an entry of the log what only its sender knows: the text of an edit, the range of a retraction. */
  #asSent(logged: Logged): Logged {
    const range = this.#sendsById.get(logged.clientMsgId)?.range;
    return { ...logged, text: this.#textOf(logged), ...(range !== undefined && { range }) };
  }

  /** Returns the text under which a client has sent an entry. Only those of messages are in the log itself. */
  #textOf({ entry, text, clientMsgId }: Logged): string {
    return entry === 'message' ? text : (this.#sendsById.get(clientMsgId)?.text ?? `${entry} ${clientMsgId}`);
  }

  #retracted({ conversation, seq, at }: EntryOf<'acked'>): void {
    const key = `${conversation} ${seq}`;
    this.#retractions.set(key, Math.min(at, this.#retractions.get(key) ?? at));
  }

  /** Checks that the store has no text of a message that was retracted. */
  #judgeStored(): void {
    const erased = new Map<string, string>();
    for (const [conversation, folded] of this.#folded)
      for (const { text, seq } of folded.retracted()) erased.set(short(text), `${conversation}/${seq}`);
    for (const { table, text } of this.#stored) {
      const message = erased.get(text);
      if (message !== undefined)
        this.#accuse('erased', `the table ${table} has "${text}" of ${message}, which was retracted`);
    }
  }

  /** Checks that acknowledged messages are in the log, under the seq and id of the ack. Returns the texts. */
  #judgeAcks(): Set<string> {
    const acked = new Set<string>();
    for (const { instance, conversation, text, seq, id } of this.#acks) {
      acked.add(text);
      const found = this.#byText.get(text);
      if (found === undefined)
        this.#accuse(
          'durable',
          `${instance}: "${short(text)}" was acked as ${conversation}/${seq} and is lost`,
        );
      else if (found.seq !== seq || found.id !== id)
        this.#accuse(
          'one order',
          `${instance}: "${short(text)}" was acked as ${seq} (${id}) and is in the log as ${found.seq} (${found.id})`,
        );
    }
    return acked;
  }

  /** Checks that one client's messages to a conversation are in the log in the order of its sends. */
  #judgeOrderOfSenders(): void {
    const last = new Map<string, Logged>();
    for (const [text, send] of this.#sends) {
      const logged = this.#byText.get(text);
      if (logged === undefined) continue;
      const key = `${send.instance} ${send.conversation}`;
      const before = last.get(key);
      if (before !== undefined && before.seq > logged.seq)
        this.#accuse(
          "sender's order",
          `${send.instance}: "${short(text)}" (${logged.seq}) overtook "${short(before.text)}" (${before.seq}) in ${send.conversation}`,
        );
      last.set(key, logged);
    }
  }

  /** Checks that the number of unread messages equals a recount from the log. */
  #judgeBadge({ user, conversation, readSeq, lastSeq, unread }: EntryOf<'badge'>): void {
    const after = this.#memberships.after(user, conversation);
    if (after === undefined) return;
    const start = Math.max(readSeq, after, this.#floors.last(conversation));
    const folded = this.#folded.get(conversation);
    const counted = (this.#log.get(conversation) ?? []).filter(
      ({ seq, from }) =>
        seq > start && seq <= lastSeq && from !== user && folded?.message(seq)?.retracted === false,
    );
    const expected = lastSeq - start > MAX_UNREAD ? Math.min(counted.length, 1) * MAX_UNREAD : counted.length;
    if (unread !== expected)
      this.#accuse(
        'badges',
        `${user} has ${unread} unread in ${conversation} after ${readSeq}, not ${expected}`,
      );
  }

  /** Checks that all clients got everything in time. */
  #judgeConvergence(): void {
    if (this.#converged === undefined) this.#accuse('in time', 'the clients never converged');
    else if (this.#converged.ms > this.#converged.withinMs)
      this.#accuse('in time', `convergence took ${this.#converged.ms} ms of ${this.#converged.withinMs}`);
  }

  /** Checks that a member reads an entry as it is at the end, if what it is about is visible to that member. */
  #judgeViewed(user: string, after: number, shown: EntryOf<'view'>): void {
    const { conversation, seq, entry, text, version, target, retracted, quote } = shown;
    const folded = this.#folded.get(conversation);
    const what = `the view of ${user}: ${conversation}/${seq}`;
    const fault = folded?.fault(shown);
    if (fault !== undefined) this.#accuse('one text', `${what} ${fault}`);
    const mine = folded?.message(seq);
    if (
      mine !== undefined &&
      (mine.text !== text || mine.version !== version || mine.retracted !== retracted)
    )
      this.#accuse('one view', `${what} is as of ${version}, the log has it as of ${mine.version}`);
    const about = entry === 'message' ? (quote?.seq ?? 0) : target;
    if (about > 0 && about <= after && (entry !== 'message' || quote?.text !== ''))
      this.#accuse('no leak', `${what} tells of ${about}, which is not for that user`);
    if (entry !== 'message' || about === 0 || about <= after) return;
    const quoted = folded?.message(about);
    if (quoted !== undefined && !quoted.text.startsWith(quote?.text.slice(0, 100) ?? ''))
      this.#accuse('one view', `${what} quotes ${about} as it is not`);
  }

  /** Checks that every member reads the same log. */
  #judgeViews(): void {
    for (const { user, conversation, after } of this.#memberships.members()) {
      const begin = Math.max(after, this.#floors.last(conversation));
      const log = (this.#log.get(conversation) ?? []).filter(({ seq }) => seq > begin);
      const view = (this.#views.get(`${user} ${conversation}`) ?? []).toSorted((a, b) => a.seq - b.seq);
      const at = log.findIndex(({ id, seq }, index) => view[index]?.id !== id || view[index]?.seq !== seq);
      if (at >= 0) this.#accuse('no loss', `the view of ${user} lacks ${conversation}/${log[at]?.seq}`);
      else if (view.length > log.length)
        this.#accuse('no phantom', `the view of ${user} has more of ${conversation} than the log`);
      for (const shown of view) this.#judgeViewed(user, begin, shown);
    }
    for (const key of this.#views.keys()) {
      const [user, conversation] = key.split(' ') as [string, string];
      if (this.#memberships.after(user, conversation) === undefined)
        this.#accuse('members only', `there is a view of ${key}, which is no member`);
    }
  }
}

function list<T>(map: Map<string, T[]>, key: string): T[] {
  let items = map.get(key);
  if (items === undefined) map.set(key, (items = []));
  return items;
}
