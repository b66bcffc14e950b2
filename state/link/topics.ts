/** The topics of one stream: lists of connections that the worker knows by a number. */
import {
  encodePublishHead,
  encodeTopicHead,
  LinkKind,
  MAX_TOPIC_CONNS,
  MAX_TOPICS,
  NO_CONNECTION,
  writeU32,
} from '../../proto/mod.ts';
import type { Target } from '../session/downlink.ts';

/** Shortest list that becomes a topic. A shorter one is no longer than a short message's frame and gains little. */
export const TOPIC_FROM = 32;

/**
 * Numbers are assigned in turn. A target whose number was taken over is defined anew at its next push, which costs as
 * much as a list. So nobody needs to report that a target is no longer used.
 */
export class Topics {
  readonly #send: (head: Uint8Array, conns: Uint8Array) => void;
  readonly #maxTopics: number;
  readonly #maxConns: number;
  /** Defined targets, by number. */
  readonly #targets: (Target | undefined)[] = [];
  #next = 0;
  /** Number of connections of all defined targets. */
  #conns = 0;

  /**
   * @param send sends a TOPIC record: its head, then the connections
   * @param maxRecordBytes a list that is too long for a TOPIC record of this size stays a list
   */
  constructor(
    send: (head: Uint8Array, conns: Uint8Array) => void,
    maxRecordBytes: number,
    maxTopics = MAX_TOPICS,
    maxConns = MAX_TOPIC_CONNS,
  ) {
    this.#send = send;
    this.#maxTopics = maxTopics;
    this.#maxConns = Math.min(maxConns, Math.floor((maxRecordBytes - 4) / 4));
  }

  /** Returns the head of a record to a target's connections but `except`; defines the topic if it uses one. */
  head(target: Target, except: number): Uint8Array {
    const { length } = target.conns;
    if (!target.kept || length < TOPIC_FROM || length > this.#maxConns) return listHead(target, except);
    if (this.#targets[target.topic] !== target) this.#define(target);
    return encodePublishHead(target.topic, except);
  }

  /** Forgets all topics. */
  clear(): void {
    this.#targets.length = 0;
    this.#conns = 0;
  }

  #define(target: Target): void {
    for (;;) {
      const topic = this.#next;
      this.#next = (topic + 1) % this.#maxTopics;
      const known = this.#targets[topic];
      if (known !== undefined) this.#conns -= known.conns.length;
      if (this.#conns + target.conns.length <= this.#maxConns) {
        this.#targets[topic] = target;
        this.#conns += target.conns.length;
        target.topic = topic;
        this.#send(encodeTopicHead(topic), target.head.subarray(4));
        return;
      }
      this.#targets[topic] = undefined;
      if (known !== undefined) this.#send(encodeTopicHead(topic), NO_CONNS);
    }
  }
}

const NO_CONNS = new Uint8Array(0);

/** Returns the head of a DELIVER record to a target's connections but `except`. */
export function listHead({ conns, head }: Target, except: number): Uint8Array {
  const at = except === NO_CONNECTION ? -1 : conns.indexOf(except);
  if (at < 0) return head;
  const without = new Uint8Array(head.length - 4);
  const cut = 4 + at * 4;
  without.set(head.subarray(0, cut));
  without.set(head.subarray(cut + 4), cut);
  writeU32(without, 0, conns.length - 1);
  without[0] = LinkKind.DELIVER;
  return without;
}
