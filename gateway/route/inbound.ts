/** Inbound frames: reads the header, then forwards the frame to state or answers it. */
import { CATALOGUE, type CodeWithDetails, type ErrorCode, type PlainErrorCode } from '../../common/mod.ts';
import {
  client,
  decodeHeader,
  encodeFrame,
  frameRef,
  FrameType,
  frameType,
  HEADER_BYTES,
  KEY_AT,
  readU32,
  writeU32,
  isEphemeral,
} from '../../proto/mod.ts';
import { nackFrame } from './answers.ts';
import { type Connection, Fence, Phase } from '../connections/connection.ts';
import type { Connections } from '../connections/connections.ts';
import type { Deadlines } from '../connections/deadlines.ts';
import type { AdmissionControl } from '../connections/admission.ts';
import type { Handshake } from '../login/handshake.ts';
import type { Renewal } from '../login/renewal.ts';
import type { Budget } from '../connections/send-budget.ts';
import type { ResyncFence } from './resync-fence.ts';
import type { Throttle } from '../connections/throttle.ts';
import type { TraceRing } from './trace-ring.ts';
import type { Uplink } from './uplink.ts';
import type { Watches } from './watches.ts';
import type { WorkerStats } from '../supervisor/worker-stats.ts';
import { decodePayload } from '../wire/payload.ts';
import type { WireFault } from '../wire/ws-wire.ts';

/** Protobuf tags of the REQUEST calls that read the conversation in the key: get_history, get_members, list_pins. */
const ROOM_CALLS: ReadonlySet<number | undefined> = new Set([0x32, 0x3a, 0x72]);

/** Faults that concern only one WebSocket message. */
const SURVIVABLE: ReadonlySet<ErrorCode> = new Set(['FRAME_INVALID', 'FRAME_UNKNOWN', 'JSON_INVALID']);
const UNIDENTIFIED = { ref: 0, key: 0n, clientMsgId: '' };
/** Frame type of bytes that are not a frame. */
const NO_TYPE = 0;

export interface InboundContext {
  readonly uplink: Uplink;
  readonly fence: ResyncFence;
  readonly admission: Pick<AdmissionControl, 'charge' | 'hasRoom'>;
  readonly throttle: Pick<Throttle, 'hold' | 'mayPass'>;
  readonly handshake: Pick<Handshake, 'onFirstFrame'>;
  readonly renewal: Pick<Renewal, 'onAuth'>;
  readonly watches: Pick<Watches, 'onWatch'>;
  readonly connections: Pick<Connections, 'close' | 'end'>;
  readonly deadlines: Pick<Deadlines, 'onFrame'>;
  readonly stats: Pick<WorkerStats, 'framesIn'>;
  readonly traces: TraceRing;
  send(connection: Connection, frame: Uint8Array): void;
}

export class Inbound {
  readonly #context: InboundContext;

  constructor(context: InboundContext) {
    this.#context = context;
  }

  /** Handles a frame. Returns whether the connection takes more. @param bytes charged for it */
  onFrame(connection: Connection, frame: Uint8Array, bytes = frame.length): boolean {
    const { stats, deadlines, handshake, connections } = this.#context;
    stats.framesIn++;
    deadlines.onFrame(connection);
    if (connection.phase === Phase.LIVE) this.#onLiveFrame(connection, frame, bytes);
    else if (connection.phase === Phase.HELLO) handshake.onFirstFrame(connection, frame);
    else if (connection.phase < Phase.CLOSING) connections.close(connection, 'HELLO_EXPECTED');
    return connection.phase < Phase.CLOSING;
  }

  /** Handles a control frame. Returns whether to answer: only if the client is within its budget and reads. */
  onControlFrame(connection: Connection, bytes: number): boolean {
    const { admission, throttle } = this.#context;
    if (admission.charge(connection, NO_TYPE, bytes)) return connection.socket.writableLength === 0;
    if (connection.phase === Phase.LIVE) throttle.hold(connection);
    return false;
  }

  /** Handles bytes that are not a frame. */
  onFault(connection: Connection, fault: WireFault, bytes: number): void {
    const { code, refused = UNIDENTIFIED } = fault;
    const { admission, connections } = this.#context;
    // On WebSocket the next message can still be read.
    if (SURVIVABLE.has(code) && connection.phase === Phase.LIVE) {
      // There is no frame to queue, and unlimited refusals would be a flood.
      if (admission.charge(connection, NO_TYPE, bytes))
        this.#context.send(connection, nackFrame(fault, refused, refused.clientMsgId));
      else connections.close(connection, 'RATE_LIMITED');
    } else connections.close(connection, 'close' in CATALOGUE[code] ? fault : 'HELLO_EXPECTED');
  }

  #onLiveFrame(connection: Connection, frame: Uint8Array, bytes: number): void {
    const { admission, throttle } = this.#context;
    const type = frameType(frame);
    const budget = connection.budget as Budget;
    if (connection.held === undefined && admission.hasRoom(budget) && throttle.mayPass(budget, bytes)) {
      admission.charge(connection, type, bytes);
      this.#take(connection, frame);
      // Typing notices are soon out of date.
    } else throttle.hold(connection, isEphemeral(type) ? undefined : frame, bytes);
  }

  /** Handles a frame that was throttled. @param bytes charged for it */
  onTurn(connection: Connection, frame: Uint8Array, bytes: number): void {
    this.#context.admission.charge(connection, frameType(frame), bytes);
    this.#take(connection, frame);
  }

  #take(connection: Connection, frame: Uint8Array): void {
    const { fence } = this.#context;
    const type = frameType(frame);
    if (connection.room !== 0n) addressToRoom(frame, connection.room);
    switch (type) {
      case FrameType.SEND:
        if (this.#context.uplink.readyLinks === 0) this.#refuse(connection, frame, 'STATE_UNAVAILABLE');
        else if (fence.pass(connection)) this.#forward(connection, frame);
        else this.#refuse(connection, frame, 'RESYNC_REQUIRED');
        return;
      case FrameType.REQUEST:
      case FrameType.RECEIPTS:
      case FrameType.TYPING:
        fence.pass(connection);
        this.#forward(connection, frame);
        return;
      case FrameType.WATCH:
        fence.pass(connection);
        this.#context.watches.onWatch(connection, frame);
        return;
      case FrameType.PING:
        fence.pass(connection);
        this.#context.send(connection, pongOf(frame));
        return;
      case FrameType.AUTH:
        fence.pass(connection);
        this.#context.renewal.onAuth(connection, frame);
        return;
      case FrameType.RESYNCED:
        fence.onResynced(connection, frameRef(frame));
        return;
      case FrameType.CLOSE:
        this.#context.connections.end(connection, 'CLIENT_GOODBYE');
        return;
      default:
        this.#refuse(connection, frame, { code: 'FRAME_UNKNOWN', details: { type } });
    }
  }

  #forward(connection: Connection, frame: Uint8Array): void {
    const { uplink, traces } = this.#context;
    const type = frameType(frame);
    const forwarded = uplink.forward(connection, frame);
    if (typeof forwarded !== 'string') {
      if (type === FrameType.SEND) traces.received(connection, frame, forwarded.node.address);
      return;
    }
    if (hasNoAnswer(type)) return;
    this.#refuse(connection, frame, forwarded);
    // A later message must not overtake the dropped one.
    if (type === FrameType.SEND && connection.fence === Fence.OPEN) this.#context.fence.hold([connection]);
  }

  #refuse(
    connection: Connection,
    frame: Uint8Array,
    said: PlainErrorCode | CodeWithDetails,
    retryAfterMs?: number,
  ): void {
    const whole = typeof said === 'string' ? { code: said } : said;
    const isSend = frameType(frame) === FrameType.SEND;
    if (isSend) this.#context.traces.refused(connection, frame, whole.code);
    const clientMsgId = isSend ? (decodePayload(client.Send, frame)?.clientMsgId ?? '') : '';
    this.#context.send(connection, nackFrame(whole, decodeHeader(frame), clientMsgId, retryAfterMs));
  }
}

/** Writes the room's id into a frame that needs a key and has none. */
function addressToRoom(frame: Uint8Array, room: bigint): void {
  if (readU32(frame, KEY_AT) !== 0 || readU32(frame, KEY_AT + 4) !== 0) return;
  const type = frameType(frame);
  const isAddressed = type === FrameType.SEND || type === FrameType.TYPING;
  if (!isAddressed && !(type === FrameType.REQUEST && ROOM_CALLS.has(frame[HEADER_BYTES]))) return;
  writeU32(frame, KEY_AT, Number(room >> 32n));
  writeU32(frame, KEY_AT + 4, Number(room & 0xffff_ffffn));
}

/** Returns whether a frame may be dropped silently: the next RECEIPTS repeats it, and TYPING is soon out of date. */
function hasNoAnswer(type: number): boolean {
  return type === FrameType.RECEIPTS || isEphemeral(type);
}

function pongOf(ping: Uint8Array): Uint8Array {
  return encodeFrame(FrameType.PONG, frameRef(ping), 0n);
}
