/** Replay: pushes duplicates again from the log, as their first fan-out may have died with its node. */
import { Buffer } from 'node:buffer';
import type { ConversationId, Logger } from '../../common/mod.ts';
import type { NameOf } from '../identity/profiles.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Draft, Message, Store } from '../store/store.ts';
import { encodeEntry } from './entry-frames.ts';
import type { Fanout } from './fanout.ts';
import { encodeMessageFrame } from './hot-frames.ts';

/** Most entries per read of the log: their texts are as long as can be. */
const MAX_READ = 64;
const MAX_READS = 8;

/** The connection that a message came from. */
interface Sender {
  readonly senderName: string;
  readonly link: Downlink;
  readonly conn: number;
}

/** Duplicates of one conversation and sender connection. */
interface Run extends Sender {
  readonly conversation: ConversationId;
  memberVersion: number;
  readonly seqs: number[];
}

export interface ReplayOptions {
  readonly store: Pick<Store, 'entriesAt'>;
  readonly fanout: Pick<Fanout, 'publish' | 'markLost'>;
  /** Names for quotes, without waiting. */
  readonly nameOf: NameOf;
  readonly logger: Logger;
  /** Most queued runs; beyond it the members of their conversations resynchronise. */
  readonly maxRuns: number;
}

/** Reads duplicates in runs and publishes them. A run that cannot be read marks its conversation as lost. */
export class Replay {
  readonly #options: ReplayOptions;
  /** Runs of this batch. */
  #gathering = new Map<string, Run>();
  readonly #queue: Run[] = [];
  #reads = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  /** Adds a duplicate; `flush` follows at the end of the batch. */
  add(
    { conversation }: Pick<Draft, 'conversation'>,
    { seq, memberVersion }: { readonly seq: number; readonly memberVersion: number },
    { senderName, link, conn }: Sender,
  ): void {
    const key = `${conversation}/${link.index}/${conn}`;
    let run = this.#gathering.get(key);
    if (run === undefined) {
      run = { conversation, senderName, link, conn, memberVersion, seqs: [] };
      this.#gathering.set(key, run);
    }
    run.memberVersion = Math.max(run.memberVersion, memberVersion);
    run.seqs.push(seq);
  }

  /** Starts reading the added runs. */
  flush(): void {
    if (this.#gathering.size === 0) return;
    const { maxRuns, fanout } = this.#options;
    for (const run of this.#gathering.values()) {
      if (this.#queue.length < maxRuns) this.#queue.push(run);
      else fanout.markLost(run.conversation, run.memberVersion);
    }
    this.#gathering = new Map();
    this.#next();
  }

  #next(): void {
    while (this.#reads < MAX_READS) {
      const run = this.#queue.shift();
      if (run === undefined) return;
      this.#reads++;
      this.#replay(run)
        .catch((error: unknown) => {
          this.#options.logger.warn({ err: error }, 'cannot read duplicates back');
          this.#options.fanout.markLost(run.conversation, run.memberVersion);
        })
        .finally(() => {
          this.#reads--;
          this.#next();
        });
    }
  }

  async #replay(run: Run): Promise<void> {
    const { store, fanout } = this.#options;
    const { conversation } = run;
    const seqs = run.seqs.sort((a, b) => a - b);
    for (let at = 0; at < seqs.length; at += MAX_READ) {
      const wanted = seqs.slice(at, at + MAX_READ);
      const found = await store.entriesAt(conversation, wanted);
      for (const message of found) this.#publish(run, message);
      if (found.length < new Set(wanted).size) fanout.markLost(conversation, run.memberVersion);
    }
  }

  #publish(run: Run, message: Message): void {
    const { conversation, senderName, memberVersion, link, conn } = run;
    const { seq, sender, extra } = message;
    const nameOf: NameOf = (user) => (user === sender ? senderName : this.#options.nameOf(user));
    const push = { conversation, memberVersion, seq, link, conn };
    if (extra === undefined)
      this.#options.fanout.publish({ ...push, frame: encodePlain(message, senderName) });
    else this.#options.fanout.publish({ ...push, ...encodeEntry({ ...message, extra }, nameOf) });
  }
}

function encodePlain(message: Message, senderName: string): Uint8Array {
  return encodeMessageFrame({
    ...message,
    senderName,
    senderNameBytes: Buffer.byteLength(senderName),
    clientMsgIdBytes: Buffer.byteLength(message.clientMsgId),
    textBytes: Buffer.byteLength(message.text),
    kind: 0,
    version: 0,
    target: 0,
    reason: '',
    thread: 0,
  });
}
