/** The history of a run, one JSON object per line: clients' actions and observations, and faults. */
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** Read cursors are compared by their epoch first: this much stands for one. */
export const EPOCH = 2 ** 32;

/** A conversation or message id in decimal. */
type Id = string;

export type EntryKind = 'message' | 'edit' | 'retract' | 'pin' | 'unpin' | 'system';

/** An entry of the log as it was shown or read: pushed, or folded in a page. */
export interface OfEntry {
  readonly conversation: Id;
  readonly seq: number;
  readonly id: Id;
  readonly entry: EntryKind;
  /** Of a message or an edit; empty if it was retracted or left out. */
  readonly text: string;
  /** Of a message: seq of the last entry that changed it; of an edit: of its target. 0: none has. */
  readonly version: number;
  /** Seq of the message that it concerns; 0: none, or left out. */
  readonly target: number;
  readonly retracted: boolean;
  readonly quote?: {
    readonly seq: number;
    readonly text: string;
    readonly version: number;
  };
}

/** The messages of one user in a range of seqs. */
export interface OfRange {
  readonly user: string;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** One client's life, across reconnects. Its name is USER/DEVICE#NUMBER; the device is empty for an unnamed one. */
interface OfInstance {
  readonly instance: string;
}

export type Happening =
  | (OfInstance & { readonly kind: 'start'; readonly user: string; readonly device: string })
  | (OfInstance & {
      readonly kind: 'up';
      readonly gateway: string;
      readonly resumed: boolean;
      readonly tokenMs: number;
    })
  | (OfInstance & { readonly kind: 'down'; readonly code: string })
  /** closed and crashed: by the workload; ended: by itself, with its final code. */
  | (OfInstance & {
      readonly kind: 'end';
      readonly why: 'closed' | 'crashed' | 'ended';
      readonly code: string;
    })
  /** The text is unique in the run. Of a retraction it is the reason, of a pin only a name. */
  | (OfInstance & {
      readonly kind: 'send';
      readonly conversation: Id;
      readonly text: string;
      readonly clientMsgId: string;
      readonly entry: EntryKind;
      /** Seq of the message that it concerns or quotes. */
      readonly target?: number;
      /** Instead: the text under which the client has sent that message. */
      readonly targetText?: string;
      readonly range?: OfRange;
    })
  | (OfInstance & {
      readonly kind: 'acked';
      readonly conversation: Id;
      readonly text: string;
      readonly seq: number;
      readonly id: Id;
    })
  | (OfInstance & {
      readonly kind: 'failed';
      readonly conversation: Id;
      readonly text: string;
      readonly code: string;
    })
  | (OfInstance & OfEntry & { readonly kind: 'message' })
  /** Entries up to `seq` were skipped: what it holds from before may have changed. */
  | (OfInstance & { readonly kind: 'skipped'; readonly conversation: Id; readonly seq: number })
  /** At the end: a message as the client holds it after all entries that it was shown. */
  | (OfInstance & OfEntry & { readonly kind: 'held' })
  | (OfInstance & {
      readonly kind: 'call';
      readonly call: string;
      readonly conversation: Id;
      readonly code: string;
      /** Unix time at which it was made, ms. */
      readonly since: number;
      /** The other user concerned. */
      readonly peer?: string;
    })
  /** It read a page of the log, which has this entry; Unix time of the request, ms. */
  | (OfInstance & OfEntry & { readonly kind: 'page'; readonly since: number })
  /** It was told that its user has left a conversation. */
  | (OfInstance & { readonly kind: 'left'; readonly conversation: Id; readonly reason: string })
  /** It reported that its user has read up to a message: a seq, and above EPOCH the epoch. */
  | (OfInstance & { readonly kind: 'marked'; readonly conversation: Id; readonly seq: number })
  /** An order to end connections of a user, at the time of its answer, or of the decision that there is none. */
  | {
      readonly kind: 'order';
      /** kick: present connections; revoke: those of all present tokens; logout: those of one token. */
      readonly what: 'kick' | 'revoke' | 'logout';
      readonly user: string;
      /** Of a kick: only this device; '' for all. */
      readonly device: string;
      /** Of a logout: which token. */
      readonly tokenMs: number;
      /** Unix time at which it was asked for, ms. */
      readonly since: number;
      readonly confirmed: boolean;
    }
  /** At the end: an undisturbed client lacks messages of the log. */
  | (OfInstance & { readonly kind: 'stuck'; readonly what: string })
  /** At the end: something that it watches is another way than it was told. */
  | (OfInstance & { readonly kind: 'stale'; readonly what: string })
  /** The log as a member reads it at the end. */
  | (OfEntry & { readonly kind: 'view'; readonly user: string })
  /** At the end: a member has had what follows a seq unread again; the conversation as it was answered. */
  | {
      readonly kind: 'badge';
      readonly user: string;
      readonly conversation: Id;
      readonly readSeq: number;
      readonly lastSeq: number;
      readonly unread: number;
    }
  /** The log as it was appended. */
  | {
      readonly kind: 'log';
      readonly conversation: Id;
      readonly seq: number;
      readonly id: Id;
      /** Empty for what the server has recorded. */
      readonly from: string;
      readonly clientMsgId: string;
      readonly entry: EntryKind;
      /** Of a message: as it was sent. */
      readonly text: string;
      /** Seq of the message that it concerns or quotes; 0: none. */
      readonly target: number;
      readonly range?: OfRange;
      /** Whether it was erased with its room, or below the floor. */
      readonly erased: boolean;
    }
  /** A text of the run that a table of the store has at the end, besides the evidence. */
  | { readonly kind: 'stored'; readonly table: string; readonly text: string }
  /** The floor of a conversation was raised; Unix time after its commit: `at`. */
  | { readonly kind: 'floor'; readonly conversation: Id; readonly seq: number }
  /** A user joined or left a conversation, as in the store, in order. */
  | {
      readonly kind: 'membership';
      readonly conversation: Id;
      readonly user: string;
      readonly change: 'joined' | 'left';
      /** The conversation's last message at that moment. */
      readonly seq: number;
      /** For joins: messages up to this one are not visible to the user. */
      readonly visibleAfter: number;
      /** Unix time, ms; the commit came after it. */
      readonly ms: number;
    }
  /** The store's cursors, read now and then. */
  | {
      readonly kind: 'cursor';
      readonly owner: string;
      readonly conversation: Id;
      readonly seq: number;
    }
  | { readonly kind: 'fault'; readonly name: string; readonly target: string; readonly holdMs: number }
  /** A server ended unexpectedly, or logged an error that must not happen. */
  | { readonly kind: 'crash'; readonly process: string; readonly what: string }
  /** All clients had everything, or the time for it was over. */
  | { readonly kind: 'converged'; readonly ms: number; readonly withinMs: number }
  /** Since then there were no faults, messages were sent, and everything had time to arrive. */
  | { readonly kind: 'quiescent'; readonly since: number };

/** With Unix time in ms. */
export type Entry = Happening & { readonly at: number };
export type EntryOf<Kind extends Entry['kind']> = Extract<Entry, { kind: Kind }>;

/** Writes a history, which is on disk after `close`. */
export class History {
  readonly #stream: WriteStream;

  constructor(path: string) {
    this.#stream = createWriteStream(path, { flags: 'a' });
  }

  write(happening: Happening): void {
    this.#stream.write(`${JSON.stringify({ at: Date.now(), ...happening })}\n`);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#stream.once('error', reject);
      this.#stream.end(resolve);
    });
  }
}

/** Reads histories, one after the other. */
export async function* readHistories(paths: readonly string[]): AsyncGenerator<Entry> {
  for (const path of paths) {
    for await (const line of createInterface({ input: createReadStream(path) }))
      yield JSON.parse(line) as Entry;
  }
}
