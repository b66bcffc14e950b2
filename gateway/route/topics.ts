/** The topics of one state node's stream. */
import { MAX_TOPIC_CONNS, MAX_TOPICS, topicCount, topicOf } from '../../proto/mod.ts';

/** Keeps the TOPIC records; their connections are at the same offset as in a DELIVER. */
export class Topics {
  readonly #records: (Uint8Array | undefined)[] = [];
  #conns = 0;

  /** Applies a TOPIC record. Returns false if it is malformed or exceeds the bounds of a stream. */
  define(record: Uint8Array): boolean {
    const topic = topicOf(record);
    const count = topicCount(record);
    const known = this.#records[topic];
    const conns = this.#conns + count - (known === undefined ? 0 : topicCount(known));
    if (record.length % 4 !== 0 || topic >= MAX_TOPICS || conns > MAX_TOPIC_CONNS) return false;
    // A copy, as the record is a view of a whole batch.
    this.#records[topic] = count > 0 ? new Uint8Array(record) : undefined;
    this.#conns = conns;
    return true;
  }

  /** Returns the TOPIC record of a PUBLISH record; undefined if its topic is not defined. */
  of(publish: Uint8Array): Uint8Array | undefined {
    return this.#records[topicOf(publish)];
  }

  /** The stream has ended. */
  clear(): void {
    this.#records.length = 0;
    this.#conns = 0;
  }
}
