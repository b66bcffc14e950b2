/** Posts: SENDs of callers without a connection, from the API server. */
import { type CodeWithDetails, GochatError, type UserId } from '../../common/mod.ts';
import { client, deliverCount, framePayload, readU32 } from '../../proto/mod.ts';
import { type SendParser, sendRefusal } from '../delivery/send-parser.ts';
import type { Sequencer } from '../delivery/sequencer.ts';
import type { Profiles } from '../identity/profiles.ts';
import type { Downlink, Refusal } from '../session/downlink.ts';
import { conversationId } from './input.ts';

/** Not the number of a stream in the location map. */
const NO_STREAM = -1;

export interface PostsOptions {
  readonly sequencer: Pick<Sequencer, 'submit' | 'flush'>;
  readonly parser: SendParser;
  readonly profiles: Pick<Profiles, 'namesOf'>;
  /** Longest text, bytes of UTF-8. */
  readonly maxTextBytes: number;
}

/**
 * The downlink of posts, each of which is a connection for one send: it is never attached, so nothing is pushed to it and
 * a refusal fences nothing.
 */
export class Posts implements Downlink {
  readonly peerName = 'api';
  readonly index = NO_STREAM;
  readonly ended = false;
  readonly fences = new Map<number, number>();
  readonly #options: PostsOptions;
  readonly #waiting = new Map<number, PromiseWithResolvers<client.Sent>>();
  #last = 0;

  constructor(options: PostsOptions) {
    this.#options = options;
  }

  /** Sends an entry to a conversation. @throws GochatError the code of the refusal */
  async post(user: UserId, key: bigint, send: client.Send | undefined): Promise<client.Sent> {
    const { sequencer, parser, profiles, maxTextBytes } = this.#options;
    const nameOf = await profiles.namesOf([user]);
    // One definition of what is valid: that of the frame.
    const fault = parser.parse(client.Send.encode(send ?? client.Send.fromPartial({})).finish(), 0);
    if (fault !== undefined) throw GochatError.of(sendRefusal(fault, parser.what, maxTextBytes));
    const conversation = conversationId(key);
    if (conversation === undefined) throw new GochatError('NOT_A_MEMBER');
    this.#last++;
    const conn = this.#last;
    const waiting = Promise.withResolvers<client.Sent>();
    this.#waiting.set(conn, waiting);
    sequencer.submit(this, conn, 0, 0, conversation, user, nameOf(user), parser);
    sequencer.flush();
    return waiting.promise;
  }

  /** Takes the record of a SENT. */
  answer(record: Uint8Array): void {
    const frame = record.subarray(4 + deliverCount(record) * 4);
    this.#take(readU32(record, 4))?.resolve(client.Sent.decode(framePayload(frame)));
  }

  refuse(refusal: Refusal): void {
    // A post has no later sends that would have to wait for a RESYNC.
    const said: CodeWithDetails =
      refusal.code === 'RESYNC_REQUIRED' ? { code: 'STATE_UNAVAILABLE' } : refusal;
    const { conn, retryAfterMs } = refusal;
    this.#take(conn)?.reject(GochatError.of(said, retryAfterMs === undefined ? {} : { retryAfterMs }));
  }

  isAttached(): boolean {
    return false;
  }

  push(): boolean {
    return true;
  }

  pushEphemeral(): void {}

  kick(): void {}

  fence(): void {}

  #take(conn: number): PromiseWithResolvers<client.Sent> | undefined {
    const waiting = this.#waiting.get(conn);
    this.#waiting.delete(conn);
    return waiting;
  }
}
