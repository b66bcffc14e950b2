/** What the topics of one state node's stream mean to this worker. */
import { MAX_TOPIC_CONNS, MAX_TOPICS, topicCount, topicOf } from '../../proto/mod.ts';

/** Holds the records that define them, in which connections stand where they stand in a DELIVER. */
export class Topics {
  readonly #records: (Uint8Array | undefined)[] = [];
  #conns = 0;

  /** Takes in what a TOPIC record says. Returns false where it is malformed or beyond the bounds of a stream. */
  define(record: Uint8Array): boolean {
    const topic = topicOf(record);
    const count = topicCount(record);
    const known = this.#records[topic];
    const conns = this.#conns + count - (known === undefined ? 0 : topicCount(known));
    if (record.length % 4 !== 0 || topic >= MAX_TOPICS || conns > MAX_TOPIC_CONNS) return false;
    // A copy: what comes is a view on a whole batch.
    this.#records[topic] = count > 0 ? new Uint8Array(record) : undefined;
    this.#conns = conns;
    return true;
  }

  /** Returns the TOPIC record of a PUBLISH record; undefined: its topic is not defined. */
  of(publish: Uint8Array): Uint8Array | undefined {
    return this.#records[topicOf(publish)];
  }

  /** The stream has ended. */
  clear(): void {
    this.#records.length = 0;
    this.#conns = 0;
  }
}
