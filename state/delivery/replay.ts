/** Replay: pushes duplicates again from the log, as their first fan-out may have died with its node. */
import type { ConversationId, Logger, UserId } from '../../common/mod.ts';
import { Buffer } from 'node:buffer';
import { accessCheck } from '../policy.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Draft, Message, Store } from '../store/store.ts';
import type { Fanout } from './fanout.ts';
import { encodeMessageFrame } from './hot-frames.ts';

/** Most messages per read of the log. */
const MAX_READ = 200;
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
  readonly sender: UserId;
  memberVersion: number;
  readonly seqs: number[];
}

export interface ReplayOptions {
  readonly store: Pick<Store, 'history'>;
  readonly fanout: Pick<Fanout, 'publish' | 'markLost'>;
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
    { conversation, sender }: Pick<Draft, 'conversation' | 'sender'>,
    { seq, memberVersion }: { readonly seq: number; readonly memberVersion: number },
    { senderName, link, conn }: Sender,
  ): void {
    const key = `${conversation}/${link.index}/${conn}`;
    let run = this.#gathering.get(key);
    if (run === undefined) {
      run = { conversation, sender, senderName, link, conn, memberVersion, seqs: [] };
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
    const seqs = run.seqs.sort((a, b) => a - b);
    let from = 0;
    while (from < seqs.length) {
      const first = seqs[from] as number;
      let to = from;
      while (to + 1 < seqs.length && (seqs[to + 1] as number) - first < MAX_READ) to++;
      const last = seqs[to] as number;
      const wanted = new Set(seqs.slice(from, to + 1));
      const found = (await this.#read(run, first, last)).filter(({ seq }) => wanted.has(seq));
      for (const message of found) this.#publish(run, message);
      // The sender may no longer read it, for example after leaving; other members find it in the log.
      if (found.length < wanted.size) this.#options.fanout.markLost(run.conversation, run.memberVersion);
      from = to + 1;
    }
  }

  /** Reads the messages between two seqs, page by page, as large texts do not fit one page. */
  async #read({ sender, conversation }: Run, first: number, last: number): Promise<Message[]> {
    const pages: (readonly Message[])[] = [];
    for (let end = last + 1; end > first; ) {
      const by = accessCheck('getHistory', sender);
      const page = await this.#options.store.history(conversation, by, end, end - first);
      const messages = typeof page === 'string' ? [] : page.messages;
      pages.unshift(messages);
      end = messages[0]?.seq ?? first;
    }
    return pages.flat();
  }

  #publish(run: Run, message: Message): void {
    const { conversation, senderName, memberVersion, link, conn } = run;
    const frame = encodeMessageFrame({
      ...message,
      senderName,
      senderNameBytes: Buffer.byteLength(senderName),
      clientMsgIdBytes: Buffer.byteLength(message.clientMsgId),
      textBytes: Buffer.byteLength(message.text),
    });
    this.#options.fanout.publish({ conversation, memberVersion, seq: message.seq, frame, link, conn });
  }
}
