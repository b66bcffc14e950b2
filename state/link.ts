/** One gateway worker's stream: reads its records, keeps its part of the location map, and carries the answers. */
import {
  CATALOGUE,
  describe,
  type ErrorCode,
  type ErrorDetails,
  GochatError,
  type ConversationId,
  type Logger,
  type SessionId,
  type UserId,
} from '../common/mod.ts';
import { type BatchStream, type BatchStreamHandler, SendResult, type StreamEnd } from '../crpc/mod.ts';
import {
  client,
  encodeConns,
  encodeFrame,
  encodeRecord,
  FRAME_RECORD_HEADER_BYTES,
  FrameType,
  HEADER_BYTES,
  link,
  LinkKind,
  readU32,
} from '../proto/mod.ts';
import type { Receipts } from './chat/receipts.ts';
import type { Requests } from './chat/requests.ts';
import { encodeAnswerRecord } from './delivery/hot-frames.ts';
import type { SendParser } from './delivery/send-parser.ts';
import type { Sequencer } from './delivery/sequencer.ts';
import type { Typing } from './delivery/typing.ts';
import type { StateLimits } from './limits.ts';
import type { StateMetrics } from './metrics.ts';
import type { Downlink, Fence, Refusal } from './session/downlink.ts';
import type { Evictions } from './session/evictions.ts';
import type { LocationMap } from './session/location-map.ts';
import type { Presence } from './session/presence.ts';
import type { SessionEvent, SessionLog } from './session/session-log.ts';
import { type Hold, holdName, type Sessions } from './session/sessions.ts';
import { join } from './session/u64.ts';

/** Logins answered and not attached yet; the oldest is given up and released for a new one. */
const MAX_PENDING_HOLDS = 10_000;
/** Conversation ids are positive signed 64-bit numbers: what the store can hold. */
const MAX_KEY_HIGH = 0x7fffffff;
/** Of what may wait for a worker, who is typing may take one part in so many. */
const EPHEMERAL_PART = 4;
const BUSY_RETRY_MS = 200;

/** What all links of a node share. */
export interface LinkContext {
  readonly locations: LocationMap<Downlink>;
  readonly sessions: Sessions;
  readonly evictions: Pick<Evictions, 'orderFor'>;
  readonly presence: Presence;
  readonly sessionLog: SessionLog;
  readonly sequencer: Sequencer;
  readonly requests: Requests;
  readonly receipts: Receipts;
  readonly typing: Typing;
  readonly sendParser: SendParser;
  readonly limits: StateLimits;
  readonly metrics: StateMetrics;
  readonly logger: Logger;
}

/**
 * Handles one stream of records.
 *
 * A record that cannot be read is a fault of the worker, not of a client: the stream is ended, upon which the worker
 * opens another one and makes its connections resynchronise.
 */
export class Link implements Downlink, BatchStreamHandler {
  readonly index: number;
  peerName = '';
  readonly fences = new Map<number, Fence>();
  readonly #stream: BatchStream;
  readonly #context: LinkContext;
  #logger: Logger;
  #opened = false;
  #ended = false;
  /** Sessions claimed here whose connection is not attached yet. */
  readonly #holds = new Map<number, Hold>();
  /** Connections to be answered with ATTACHED at the end of the records. */
  #attached: number[] = [];
  /** Connections that missed pushes because the worker is behind. */
  readonly #lost = new Set<number>();
  /** Requests in flight by connection. */
  readonly #requests = new Map<number, number>();

  readonly #onForgotten: () => void;

  constructor(stream: BatchStream, context: LinkContext, onForgotten: () => void) {
    this.#stream = stream;
    this.#context = context;
    this.#onForgotten = onForgotten;
    this.#logger = context.logger;
    this.index = context.locations.open(this);
    if (this.index < 0) throw new GochatError('OVERLOADED');
  }

  get ended(): boolean {
    return this.#ended;
  }

  isAttached(conn: number): boolean {
    return !this.#ended && this.#context.locations.slotOf(this.index, conn) >= 0;
  }

  onRecords(records: readonly Uint8Array[]): void {
    for (const record of records) {
      if (this.#ended) break;
      if (record[0] === LinkKind.FRAME && this.#opened) this.#onFrame(record);
      else this.#onControl(record);
    }
    if (this.#attached.length > 0) {
      this.answer(encodeConns(LinkKind.ATTACHED, this.#attached));
      this.#attached = [];
    }
    this.#context.sequencer.flush();
  }

  onDrain(): void {
    if (this.#lost.size === 0) return;
    const lost = [...this.#lost];
    this.#lost.clear();
    this.fence(lost);
  }

  onEnd(end: StreamEnd): void {
    this.#logger.info({ end, connections: this.#context.locations.connsOf(this.index).length }, 'link ended');
    this.#forget();
  }

  push(head: Uint8Array, frame: Uint8Array, count: number): void {
    if (this.#ended) return;
    if (this.#stream.queuedBytes > this.#context.limits.pushBytes) {
      for (let i = 0; i < count; i++) this.#lost.add(readU32(head, 4 + i * 4));
      return;
    }
    this.#sent(this.#stream.send(head, frame));
  }

  pushEphemeral(head: Uint8Array, frame: Uint8Array): void {
    if (!this.#ended && this.#stream.queuedBytes <= this.#context.limits.pushBytes / EPHEMERAL_PART)
      this.#sent(this.#stream.send(head, frame));
  }

  answer(record: Uint8Array): void {
    if (!this.#ended) this.#sent(this.#stream.send(record));
  }

  refuse(refusal: Refusal): void {
    const { code, details } = refusal;
    const entry = CATALOGUE[code];
    this.#context.metrics.nacks.add(1, { code });
    const nack = client.Nack.encode({
      code,
      message: describe(code, details),
      retryable: entry.retryable,
      retryAfterMs: refusal.retryAfterMs ?? 0,
      clientMsgId: refusal.clientMsgId ?? '',
    }).finish();
    this.#answerFrame(refusal.conn, encodeFrame(FrameType.NACK, refusal.ref, refusal.key, nack));
  }

  kick(conn: number, code: ErrorCode, reason = ''): void {
    this.#detach(conn, true, 'kicked', reason === '' ? code : `${code}: ${reason}`);
    this.answer(encodeRecord(LinkKind.KICK, link.Kick.encode({ conn, code, reason }).finish()));
  }

  fence(conns: Iterable<number>): void {
    const list = [...conns];
    if (list.length === 0) return;
    this.#context.metrics.resyncs.add(list.length);
    this.answer(encodeConns(LinkKind.FENCE, list));
  }

  /** Flushes and ends the stream. */
  close(): void {
    if (this.#ended) return;
    this.#stream.close();
    this.#forget();
  }

  #onFrame(record: Uint8Array): void {
    if (record.length < FRAME_RECORD_HEADER_BYTES + HEADER_BYTES) {
      this.#abandon('a FRAME record is too short');
      return;
    }
    const { locations } = this.#context;
    const conn = readU32(record, 1);
    const slot = locations.slotOf(this.index, conn);
    if (slot < 0) {
      // Not attached, or replaced a moment ago: it cannot be served, and it must not wait for an answer in vain.
      this.kick(conn, 'STATE_UNAVAILABLE');
      return;
    }
    const type = record[FRAME_RECORD_HEADER_BYTES + 4] as number;
    const ref =
      ((record[FRAME_RECORD_HEADER_BYTES + 6] as number) << 8) |
      (record[FRAME_RECORD_HEADER_BYTES + 7] as number);
    const keyHigh = readU32(record, FRAME_RECORD_HEADER_BYTES + 8);
    const key = join(keyHigh, readU32(record, FRAME_RECORD_HEADER_BYTES + 12));
    if (type === FrameType.SEND) this.#onSend(record, conn, slot, ref, key, keyHigh);
    else if (type === FrameType.REQUEST) this.#onRequest(record, conn, slot, ref, key);
    else if (type === FrameType.RECEIPTS) this.#onReceipts(record, conn, slot, ref, key);
    else if (type === FrameType.TYPING) this.#onTyping(record, conn, slot, key);
    else this.refuse({ conn, ref, key, code: 'FRAME_UNKNOWN', details: { type } });
  }

  #onSend(record: Uint8Array, conn: number, slot: number, ref: number, key: bigint, keyHigh: number): void {
    const { locations, sendParser, sequencer, limits } = this.#context;
    const code = sendParser.parse(record, FRAME_RECORD_HEADER_BYTES + HEADER_BYTES);
    if (code !== undefined) {
      const details = sendDetails(code, limits.textBytes);
      this.refuse({ conn, ref, key, code, details, clientMsgId: sendParser.clientMsgId });
      return;
    }
    if (keyHigh > MAX_KEY_HIGH || key === 0n) {
      this.refuse({ conn, ref, key, code: 'NOT_A_MEMBER', clientMsgId: sendParser.clientMsgId });
      return;
    }
    const sender = locations.userAt(slot);
    sequencer.submit(this, conn, ref, key as ConversationId, sender, locations.userNameAt(slot), sendParser);
  }

  #onRequest(record: Uint8Array, conn: number, slot: number, ref: number, key: bigint): void {
    const { requests, limits, locations } = this.#context;
    const request = decode(client.Request, record);
    if (request === undefined) {
      this.refuse({ conn, ref, key, code: 'FRAME_INVALID' });
      return;
    }
    const inFlight = this.#requests.get(conn) ?? 0;
    const code = inFlight >= limits.requestsPerConnection ? 'OVERLOADED' : requests.refusal;
    if (code !== undefined) {
      this.refuse({ conn, ref, key, code, retryAfterMs: BUSY_RETRY_MS });
      return;
    }
    this.#requests.set(conn, inFlight + 1);
    requests
      .answer(locations.callerAt(slot), key, request)
      .then((response) => {
        const payload = client.Response.encode(response).finish();
        this.#answerFrame(conn, encodeFrame(FrameType.RESPONSE, ref, key, payload));
      })
      .catch((cause: unknown) => {
        const error = GochatError.from(cause);
        if (error.code === 'INTERNAL') this.#logger.error({ err: error }, 'request failed');
        const retryAfterMs = error.retryAfterMs ?? (error.retryable ? BUSY_RETRY_MS : 0);
        this.refuse({ conn, ref, key, code: error.code, details: error.details, retryAfterMs });
      })
      .finally(() => {
        const left = (this.#requests.get(conn) ?? 1) - 1;
        if (left > 0) this.#requests.set(conn, left);
        else this.#requests.delete(conn);
      });
  }

  #onReceipts(record: Uint8Array, conn: number, slot: number, ref: number, key: bigint): void {
    const { receipts, locations } = this.#context;
    const message = decode(client.Receipts, record);
    if (message === undefined) {
      this.refuse({ conn, ref, key, code: 'FRAME_INVALID' });
    } else if (!receipts.add(locations.callerAt(slot), message.receipts)) {
      this.refuse({ conn, ref, key, code: 'ARGUMENT_INVALID', details: { what: 'RECEIPTS' } });
    }
  }

  #onTyping(record: Uint8Array, conn: number, slot: number, key: bigint): void {
    const message = decode(client.Typing, record);
    // It has no answer, so what is wrong with one is not told.
    if (message === undefined) return;
    const { typing, locations } = this.#context;
    typing.tell(this, conn, key as ConversationId, locations.callerAt(slot), message.stopped);
  }

  /** Reads the records of the worker itself. */
  #onControl(record: Uint8Array): void {
    const body = record.subarray(1);
    try {
      switch (record[0]) {
        case LinkKind.OPEN:
          this.#onOpen(link.Open.decode(body));
          return;
        case LinkKind.ATTACH:
          if (this.#opened) return this.#onAttach(link.Attach.decode(body));
          break;
        case LinkKind.DETACH:
          if (this.#opened && record.length === 6) return this.#detach(readU32(record, 1), record[5] === 1);
          break;
        case LinkKind.LOGIN:
          if (this.#opened) return this.#onLogin(link.Login.decode(body));
          break;
        case LinkKind.READY:
          this.#logger.debug('link ready');
          if (this.#opened) return;
          break;
      }
    } catch (error) {
      this.#abandon('a record does not parse', error);
      return;
    }
    this.#abandon(`a record of kind ${record[0]} is not valid here`);
  }

  #onOpen(open: link.Open): void {
    if (this.#opened) {
      this.#abandon('OPEN came twice');
      return;
    }
    this.#opened = true;
    this.peerName = `${open.gatewayName}/${open.worker}`;
    this.#logger = this.#logger.child({
      gateway: open.gatewayName,
      number: open.gateway,
      worker: open.worker,
    });
    this.#logger.info('link opened');
  }

  #onAttach(attach: link.Attach): void {
    const { conn } = attach;
    const hold = this.#holds.get(conn);
    this.#holds.delete(conn);
    const { locations, presence, evictions } = this.#context;
    const user = attach.user as UserId;
    const device = hold?.device ?? attach.device;
    const replaced = locations.attach(this.index, {
      conn,
      user,
      userName: attach.userName,
      device,
      unnamed: attach.unnamedDevice,
      session: attach.session as SessionId,
      epoch: attach.epoch,
      token: attach.token,
      claimedHere: hold !== undefined,
    });
    for (const other of replaced) other.stream.kick(other.conn, 'SESSION_REPLACED');
    presence.attached(user, attach.unnamedDevice ? '' : device);
    this.#note(user, attach.session as SessionId, device, 'attached', '');
    // The order may have been given while the connection was logging in, or out of this node's sight.
    const order = evictions.orderFor(user, { device, token: attach.token, epoch: attach.epoch });
    if (order !== undefined) this.kick(conn, order.code, order.reason);
    this.#attached.push(conn);
  }

  #onLogin(login: link.Login): void {
    const { sessions } = this.#context;
    sessions
      .login(login)
      .then((result) => {
        if (result.errorCode === '') {
          const hold = { user: login.user as UserId, device: holdName(login), epoch: result.epoch };
          if (this.#ended) {
            sessions.release(hold);
            return;
          }
          this.#keepHold(login.conn, hold);
        }
        this.answer(encodeRecord(LinkKind.LOGIN_RESULT, link.LoginResult.encode(result).finish()));
      })
      .catch((error: unknown) => this.#logger.error({ err: error }, 'login answer failed'));
  }

  /** Remembers a claim until its connection is attached, which may never happen. */
  #keepHold(conn: number, hold: Hold): void {
    if (this.#holds.size >= MAX_PENDING_HOLDS) {
      for (const [oldest, abandoned] of this.#holds) {
        this.#holds.delete(oldest);
        this.#context.sessions.release(abandoned);
        break;
      }
    }
    this.#holds.set(conn, hold);
  }

  /** @param left the connection ended on purpose: its user does not count as online for a while */
  #detach(
    conn: number,
    left: boolean,
    what: SessionEvent['what'] = left ? 'left' : 'dropped',
    detail = '',
  ): void {
    const { locations, sessions, presence } = this.#context;
    this.fences.delete(conn);
    this.#lost.delete(conn);
    const hold = this.#holds.get(conn);
    if (hold !== undefined) {
      this.#holds.delete(conn);
      sessions.release(hold);
    }
    const was = locations.detach(this.index, conn);
    if (was !== undefined) this.#note(was.user, was.session, was.device, what, detail);
    if (was !== undefined && !left) presence.dropped(was.user, was.unnamed ? '' : was.device);
    if (was?.claimedHere) sessions.release({ user: was.user, device: was.device, epoch: was.epoch });
  }

  #note(user: UserId, session: SessionId, device: string, what: SessionEvent['what'], detail: string): void {
    this.#context.sessionLog.add({ user, session, device, gateway: this.peerName, what, detail });
  }

  #answerFrame(conn: number, frame: Uint8Array): void {
    if (!this.#ended) this.answer(encodeAnswerRecord(conn, frame));
  }

  /** BACKPRESSURE needs no action: pushes watch the queue, and answers are bounded by what is asked. */
  #sent(result: SendResult): void {
    if (result === SendResult.CLOSED) this.#abandon('the stream takes no more');
  }

  #abandon(reason: string, error?: unknown): void {
    if (this.#ended) return;
    this.#logger.warn(error === undefined ? { reason } : { reason, err: error }, 'link abandoned');
    this.close();
  }

  /** Forgets the stream's connections. Their sessions stay held: the worker may live on without this stream. */
  #forget(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.fences.clear();
    this.#lost.clear();
    this.#holds.clear();
    const { locations, presence } = this.#context;
    for (const { user, device } of locations.callersOf(this.index)) presence.dropped(user, device);
    locations.close(this.index);
    this.#onForgotten();
  }
}

/** Decodes the payload of the frame in a FRAME record. */
function decode<T>(codec: { decode(input: Uint8Array): T }, record: Uint8Array): T | undefined {
  try {
    return codec.decode(record.subarray(FRAME_RECORD_HEADER_BYTES + HEADER_BYTES));
  } catch {
    // Whatever the decoder says of it, the answer is FRAME_INVALID.
    return undefined;
  }
}

function sendDetails(code: ErrorCode, maxTextBytes: number): ErrorDetails {
  if (code === 'TEXT_TOO_LONG') return { max: maxTextBytes };
  if (code === 'ARGUMENT_INVALID') return { what: 'A text or client_msg_id with the character U+0000' };
  return {};
}
