/** The judge: reads the history of a run and names every breach of what GoChat promises. */
import { ClientJudge, short } from './client-judge.ts';
import type { Entry, EntryOf } from './history.ts';
import { InstanceView } from './instance-view.ts';
import { Memberships } from './memberships.ts';

/** What a client may be told of a send that it does not get acknowledged, and whether the message may exist then. */
const FAILURES: ReadonlyMap<string, 'absent' | 'unknown'> = new Map([
  ['CLIENT_CLOSED', 'unknown'],
  ['SESSION_REPLACED', 'unknown'],
  ['OUTBOX_FULL', 'absent'],
  ['NOT_A_MEMBER', 'absent'],
]);

export interface Violation {
  readonly rule: string;
  readonly what: string;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  /** Violations beyond those listed. */
  readonly more: number;
  readonly sends: number;
  readonly acked: number;
  /** Sends without an ack, by what the client was told; '' where the client's end came first. */
  readonly failed: Readonly<Record<string, number>>;
  /** Messages in the log that nobody got an ack for: present for all members. */
  readonly unackedPresent: number;
  readonly messages: number;
  readonly deliveries: number;
  /** Clients that were connected at all. */
  readonly instances: number;
  readonly reconnects: number;
  readonly faults: Readonly<Record<string, number>>;
  /** How often users came into a conversation and went out of one. */
  readonly changes: Readonly<Record<'joined' | 'left', number>>;
  readonly convergedMs: number | undefined;
}

const MAX_LISTED = 50;

type Logged = EntryOf<'log'>;

/** Takes a history in; `verdict` judges it when it is whole. */
export class Checker {
  readonly #instances = new Map<string, InstanceView>();
  /** Highest seq shown to any client of a device, by device and conversation. */
  readonly #heads = new Map<string, number>();
  readonly #sends = new Map<string, EntryOf<'send'>>();
  readonly #acks: EntryOf<'acked'>[] = [];
  readonly #failures: EntryOf<'failed'>[] = [];
  readonly #log = new Map<string, Logged[]>();
  readonly #byText = new Map<string, Logged>();
  readonly #views = new Map<string, EntryOf<'view'>[]>();
  readonly #memberships = new Memberships();
  /** Up to where the clients of a user said that it has read, by user and conversation. */
  readonly #marks = new Map<string, number>();
  readonly #cursors = new Map<string, EntryOf<'cursor'>>();
  readonly #faults: Record<string, number> = {};
  readonly #violations: Violation[] = [];
  #violationCount = 0;
  readonly #changes = { joined: 0, left: 0 };
  #deliveries = 0;
  #reconnects = 0;
  #convergedMs: number | undefined;

  /** Takes the next entry; those of one client and of its device come in their order. */
  add(entry: Entry): void {
    switch (entry.kind) {
      case 'start':
        this.#instances.set(entry.instance, new InstanceView(entry));
        break;
      case 'up':
        if (this.#view(entry).connected()) this.#reconnects++;
        break;
      case 'end':
        this.#view(entry).end = entry;
        break;
      case 'send':
        if (this.#sends.has(entry.text)) this.#accuse('history', `${entry.text} was sent twice`);
        this.#sends.set(entry.text, entry);
        break;
      case 'acked':
        this.#acks.push(entry);
        this.#show(entry, this.#view(entry).acked(entry));
        break;
      case 'failed':
        this.#failures.push(entry);
        break;
      case 'message':
        this.#deliveries++;
        this.#show(entry, this.#view(entry).message(entry));
        break;
      case 'call':
        if (entry.code !== '' && UNEXPECTED_CODES.has(entry.code))
          this.#accuse(
            'nothing unexpected',
            `${entry.instance}: ${entry.call} was refused with ${entry.code}`,
          );
        break;
      case 'stuck':
        this.#accuse('convergence', `${entry.instance}: ${entry.what}`);
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
      case 'marked': {
        const key = `${userOf(entry.instance)} ${entry.conversation}`;
        this.#marks.set(key, Math.max(entry.seq, this.#marks.get(key) ?? 0));
        break;
      }
      case 'cursor':
        this.#onCursor(entry);
        break;
      case 'fault':
        this.#faults[entry.name] = (this.#faults[entry.name] ?? 0) + 1;
        break;
      case 'crash':
        this.#accuse('no crash', `${entry.process}: ${entry.what}`);
        break;
      case 'converged':
        this.#convergedMs = entry.ms;
        break;
    }
  }

  /** Judges; to be called once. */
  verdict(): Verdict {
    this.#judgeLog();
    const acked = this.#judgeAcks();
    const failed = this.#judgeFailures(acked);
    const clients = new ClientJudge({
      instances: this.#instances,
      log: this.#log,
      memberships: this.#memberships,
      headOf: (view, conversation) => this.#head(view, conversation),
      accuse: (rule, what) => this.#accuse(rule, what),
    });
    for (const view of this.#instances.values()) clients.judge(view);
    this.#judgeOrderOfSenders();
    this.#judgeViews();
    this.#judgeReadCursors();
    let messages = 0;
    for (const log of this.#log.values()) messages += log.length;
    return {
      violations: this.#violations,
      more: this.#violationCount - this.#violations.length,
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
      convergedMs: this.#convergedMs,
    };
  }

  #view(entry: { readonly instance: string }): InstanceView {
    const view = this.#instances.get(entry.instance);
    if (view === undefined) throw new Error(`the history has no start of ${entry.instance}`);
    return view;
  }

  #accuse(rule: string, what: string): void {
    this.#violationCount++;
    if (this.#violations.length < MAX_LISTED) this.#violations.push({ rule, what });
  }

  /** Notes that a client was shown a message: where its device had come to before decides where it may begin. */
  #show(entry: EntryOf<'message'> | EntryOf<'acked'>, breach: string | undefined): void {
    const { instance, conversation, seq } = entry;
    if (breach !== undefined) this.#accuse('once, in order', `${instance}: ${breach}`);
    const view = this.#view(entry);
    if (entry.kind === 'message') view.began(conversation, seq, this.#head(view, conversation));
    const key = `${view.group} ${conversation}`;
    if (seq > (this.#heads.get(key) ?? 0)) this.#heads.set(key, seq);
  }

  /** Where a client of a device may begin: a named one that has no cursor takes that of the unnamed ones. */
  #head({ group, user }: InstanceView, conversation: string): number {
    return Math.max(...[group, `${user}/`].map((owner) => this.#heads.get(`${owner} ${conversation}`) ?? 0));
  }

  #onCursor(entry: EntryOf<'cursor'>): void {
    const key = `${entry.owner} ${entry.conversation}`;
    const before = this.#cursors.get(key);
    if (before !== undefined && entry.seq < before.seq)
      this.#accuse('cursors', `${key} went from ${before.seq} back to ${entry.seq}`);
    this.#cursors.set(key, entry);
  }

  /** The log: contiguous from 1, each text once, by who sent it, where it was sent to. */
  #judgeLog(): void {
    const ids = new Set<string>();
    for (const [conversation, log] of this.#log) {
      log.sort((a, b) => a.seq - b.seq);
      for (const [index, entry] of log.entries()) {
        const { seq, id, text, from } = entry;
        if (seq !== index + 1) {
          this.#accuse('contiguous', `${conversation}: seq ${seq} stands where ${index + 1} should`);
          break;
        }
        if (ids.has(id)) this.#accuse('one order', `message id ${id} is in the log twice`);
        ids.add(id);
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
      }
    }
  }

  /** What was acknowledged is in the log, under the seq and id of the ack. Returns the texts. */
  #judgeAcks(): Set<string> {
    const acked = new Set<string>();
    for (const { instance, conversation, text, seq, id } of this.#acks) {
      acked.add(text);
      const found = this.#byText.get(text);
      if (found === undefined)
        this.#accuse(
          'acked means durable',
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

  /** Each send has one outcome, a failed one a code that a client may meet; a refused message is not there. */
  #judgeFailures(acked: ReadonlySet<string>): Record<string, number> {
    const failed: Record<string, number> = {};
    const told = new Set<string>();
    for (const { instance, text, code } of this.#failures) {
      failed[code] = (failed[code] ?? 0) + 1;
      told.add(text);
      const meaning = FAILURES.get(code);
      if (meaning === undefined)
        this.#accuse('nothing unexpected', `${instance}: "${short(text)}" failed with ${code}`);
      if (acked.has(text))
        this.#accuse('one answer', `${instance}: "${short(text)}" was acked and failed with ${code}`);
      // A repetition that comes after its room was deleted is refused.
      if (meaning === 'absent' && this.#byText.get(text)?.erased === false)
        this.#accuse('one answer', `${instance}: "${short(text)}" failed with ${code} and is in the log`);
    }
    for (const [text, send] of this.#sends) {
      if (acked.has(text) || told.has(text)) continue;
      failed[''] = (failed[''] ?? 0) + 1;
      if (this.#view(send).alive)
        this.#accuse('one answer', `${send.instance}: nothing was said of "${short(text)}"`);
    }
    return failed;
  }

  /** What one client sent to a conversation is in the log in the order of its sends. */
  #judgeOrderOfSenders(): void {
    const last = new Map<string, Logged>();
    for (const [text, send] of this.#sends) {
      const logged = this.#byText.get(text);
      if (logged === undefined) continue;
      const key = `${send.instance} ${send.conversation}`;
      const before = last.get(key);
      if (before !== undefined && before.seq > logged.seq)
        this.#accuse(
          "a sender's order",
          `${send.instance}: "${short(text)}" (${logged.seq}) overtook "${short(before.text)}" (${before.seq}) in ${send.conversation}`,
        );
      last.set(key, logged);
    }
  }

  /** Every member reads the same log. */
  #judgeViews(): void {
    for (const { user, conversation, after } of this.#memberships.members()) {
      const log = (this.#log.get(conversation) ?? []).filter(({ seq }) => seq > after);
      const view = (this.#views.get(`${user} ${conversation}`) ?? []).toSorted((a, b) => a.seq - b.seq);
      const at = log.findIndex(({ id, seq }, index) => view[index]?.id !== id || view[index]?.seq !== seq);
      if (at >= 0) this.#accuse('no loss', `the view of ${user} lacks ${conversation}/${log[at]?.seq}`);
      else if (view.length > log.length)
        this.#accuse('no phantom', `the view of ${user} has more of ${conversation} than the log`);
    }
    for (const key of this.#views.keys()) {
      const [user, conversation] = key.split(' ') as [string, string];
      if (this.#memberships.after(user, conversation) === undefined)
        this.#accuse('members only', `there is a view of ${key}, which is no member`);
    }
  }

  /** No read cursor is beyond what the user's clients said that it has read. */
  #judgeReadCursors(): void {
    for (const { owner, conversation, seq } of this.#cursors.values()) {
      const [user, what] = owner.split(' ') as [string, string];
      if (what === 'read' && seq > (this.#marks.get(`${user} ${conversation}`) ?? 0))
        this.#accuse('cursors', `${user} has read ${conversation} up to ${seq} and never said so`);
    }
  }
}

/** Refusals that say that something of ours is broken. */
const UNEXPECTED_CODES = new Set(['INTERNAL', 'FRAME_INVALID', 'FRAME_UNKNOWN']);

function userOf(instance: string): string {
  return instance.slice(0, instance.indexOf('/'));
}

function list<T>(map: Map<string, T[]>, key: string): T[] {
  let items = map.get(key);
  if (items === undefined) map.set(key, (items = []));
  return items;
}
