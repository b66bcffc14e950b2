/** Frames of clients on one link: passes each to the part of the node that serves it. */
import { Buffer } from 'node:buffer';
import { type ConversationId, GochatError } from '../../common/mod.ts';
import {
  client,
  encodeFrame,
  FRAME_RECORD_HEADER_BYTES,
  FrameType,
  HEADER_BYTES,
  readU32,
} from '../../proto/mod.ts';
import { BUSY_RETRY_MS } from '../chat/requests.ts';
import { encodeAnswerRecord } from '../delivery/hot-frames.ts';
import { sendRefusal } from '../delivery/send-parser.ts';
import type { Downlink } from '../session/downlink.ts';
import { join } from '../session/u64.ts';
import type { LinkContext } from './link-context.ts';

/** Conversation ids are positive signed 64-bit numbers, as in the store. */
const MAX_KEY_HIGH = 0x7fffffff;
const ROUND_AT = 5;
const REF_AT = FRAME_RECORD_HEADER_BYTES + 6;
const KEY_AT = FRAME_RECORD_HEADER_BYTES + 8;

/** Handles FRAME records; faults are answered to their client. */
export class ClientFrames {
  readonly #link: Downlink;
  readonly #context: LinkContext;
  /** Requests in flight by connection. */
  readonly #requests = new Map<number, number>();

  constructor(link: Downlink, context: LinkContext) {
    this.#link = link;
    this.#context = context;
  }

  /** Handles a record. Returns false if it is too short for a frame. */
  onRecord(record: Uint8Array): boolean {
    if (record.length < FRAME_RECORD_HEADER_BYTES + HEADER_BYTES) return false;
    const conn = readU32(record, 1);
    const slot = this.#context.locations.slotOf(this.#link.index, conn);
    if (slot < 0) {
      // Not attached, or just replaced: it cannot be served and must not wait in vain.
      this.#link.kick(conn, 'STATE_UNAVAILABLE');
      return true;
    }
    const type = record[FRAME_RECORD_HEADER_BYTES + 4] as number;
    const ref = ((record[REF_AT] as number) << 8) | (record[REF_AT + 1] as number);
    const keyHigh = readU32(record, KEY_AT);
    const key = join(keyHigh, readU32(record, KEY_AT + 4));
    if (type === FrameType.SEND) this.#onSend(record, conn, slot, ref, key, keyHigh);
    else if (type === FrameType.REQUEST) this.#onRequest(record, conn, slot, ref, key);
    else if (type === FrameType.RECEIPTS) this.#onReceipts(record, conn, slot, ref, key);
    else if (type === FrameType.TYPING) this.#onTyping(record, slot, key);
    else this.#link.refuse({ conn, ref, key, code: 'FRAME_UNKNOWN', details: { type } });
    return true;
  }

  #onSend(record: Uint8Array, conn: number, slot: number, ref: number, key: bigint, keyHigh: number): void {
    const { locations, sendParser, sequencer, limits } = this.#context;
    const link = this.#link;
    const code = sendParser.parse(record, FRAME_RECORD_HEADER_BYTES + HEADER_BYTES);
    if (code !== undefined) {
      const said = sendRefusal(code, sendParser.what, limits.textBytes);
      link.refuse({ conn, ref, key, ...said, clientMsgId: sendParser.clientMsgId });
      return;
    }
    if (keyHigh > MAX_KEY_HIGH || key === 0n) {
      link.refuse({ conn, ref, key, code: 'NOT_A_MEMBER', clientMsgId: sendParser.clientMsgId });
      return;
    }
    const round = readU32(record, ROUND_AT);
    const sender = locations.userAt(slot);
    const senderName = locations.userNameAt(slot);
    sequencer.submit(link, conn, round, ref, key as ConversationId, sender, senderName, sendParser);
  }

  #onRequest(record: Uint8Array, conn: number, slot: number, ref: number, key: bigint): void {
    const { requests, limits, locations } = this.#context;
    const user = locations.userAt(slot);
    const inFlight = this.#requests.get(conn) ?? 0;
    const code = inFlight >= limits.requestsPerConnection ? 'OVERLOADED' : requests.refusal(user);
    if (code !== undefined) {
      this.#link.refuse({ conn, ref, key, code, retryAfterMs: BUSY_RETRY_MS });
      return;
    }
    this.#requests.set(conn, inFlight + 1);
    // A record is a view of its whole batch, which must not be kept in memory.
    const kept = Buffer.from(record);
    requests.take(user, record.length, () => this.#request(kept, conn, ref, key));
  }

  /** Answers a request in its turn. Never rejects. */
  async #request(record: Uint8Array, conn: number, ref: number, key: bigint): Promise<void> {
    const { requests, locations, logger } = this.#context;
    const link = this.#link;
    try {
      // A connection that has ended needs no answer; its link's number may belong to another one by now.
      const slot = link.ended ? -1 : locations.slotOf(link.index, conn);
      if (slot < 0) return;
      const request = decode(client.Request, record);
      if (request === undefined) {
        link.refuse({ conn, ref, key, code: 'FRAME_INVALID' });
        return;
      }
      const response = await requests.answer(locations.callerAt(slot), key, request);
      const payload = client.Response.encode(response).finish();
      link.answer(encodeAnswerRecord(conn, encodeFrame(FrameType.RESPONSE, ref, key, payload)));
    } catch (cause) {
      const error = GochatError.from(cause);
      if (error.code === 'INTERNAL') logger.error({ err: error, gateway: link.peerName }, 'request failed');
      const retryAfterMs = error.retryAfterMs ?? (error.retryable ? BUSY_RETRY_MS : 0);
      link.refuse({ conn, ref, key, ...error.said, retryAfterMs });
    } finally {
      const left = (this.#requests.get(conn) ?? 1) - 1;
      if (left > 0) this.#requests.set(conn, left);
      else this.#requests.delete(conn);
    }
  }

  #onReceipts(record: Uint8Array, conn: number, slot: number, ref: number, key: bigint): void {
    const { receipts, locations } = this.#context;
    const caller = locations.callerAt(slot);
    if (receipts.isFull(caller.user)) return;
    const message = decode(client.Receipts, record);
    if (message === undefined) {
      this.#link.refuse({ conn, ref, key, code: 'FRAME_INVALID' });
    } else if (!receipts.add(caller, message.receipts)) {
      this.#link.refuse({ conn, ref, key, code: 'ARGUMENT_INVALID', details: { what: 'RECEIPTS' } });
    }
  }

  #onTyping(record: Uint8Array, slot: number, key: bigint): void {
    const message = decode(client.Typing, record);
    // The frame has no answer, so its faults are not reported.
    if (message === undefined) return;
    const { typing, locations } = this.#context;
    typing.tell(key as ConversationId, locations.callerAt(slot), message.stopped);
  }
}

/** Decodes the payload of the frame in a FRAME record. */
function decode<T>(codec: { decode(input: Uint8Array): T }, record: Uint8Array): T | undefined {
  try {
    return codec.decode(record.subarray(FRAME_RECORD_HEADER_BYTES + HEADER_BYTES));
  } catch {
    // Every decoding error is answered with FRAME_INVALID.
    return undefined;
  }
}
