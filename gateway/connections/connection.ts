/** The state of a connection in the gateway: one object of a fixed shape, without closures, timers or buffers. */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { type CodeWithDetails, descriptorOf } from '../../common/mod.ts';
import type { client, FrameParser } from '../../proto/mod.ts';
import type { Origin } from '../accept/address-limits.ts';
import type { Downlink } from '../push/downlink.ts';
import type { HeldFrames } from './held-frames.ts';
import type { Budget } from './send-budget.ts';
import type { StateLink } from '../route/state-link.ts';
import type { WheelItem } from './timing-wheel.ts';
import type { Watch } from './watch.ts';

/** A kind of socket and the encoding of frames on it. */
export interface Transport {
  readonly kind: 'tcp' | 'ws';
  /** Encodes a tick's frames. @param owned the bytes will be queued, so they must not keep other memory alive */
  pack(frames: Downlink, owned: boolean): Buffer;
  /** The connection is live: accept frames of all kinds up to this size. */
  accept(connection: Connection, maxFrameBytes: number): void;
  /** Ends the socket after what was written. */
  end(connection: Connection): void;
  /** Destroys the socket now. */
  destroy(connection: Connection): void;
  pause(connection: Connection): void;
  resume(connection: Connection): void;
}

/** What is known of a client's socket besides its bytes. */
export interface Peer {
  readonly webSocket?: WebSocket;
  readonly parser?: FrameParser;
  /** The result of `onSocket`. */
  readonly origin: Origin | undefined;
}

/** Phase of a connection; it only grows. */
export const Phase = {
  /** Waiting for HELLO. */
  HELLO: 0,
  /** Checking the token. */
  TOKEN: 1,
  /** Waiting for state to grant the session. */
  LOGIN: 2,
  /** Waiting for the state nodes to put it into their location maps. */
  ATTACH: 3,
  /** Waiting for state to add it to the room that HELLO names. */
  JOIN: 4,
  LIVE: 5,
  /** CLOSE was sent; further frames are dropped. */
  CLOSING: 6,
  CLOSED: 7,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** Whether the connection's messages may be forwarded; see resync-fence.ts. */
export const Fence = {
  OPEN: 0,
  /** RESYNC will be sent soon, or as soon as the client sends something. */
  DUE: 1,
  /** RESYNC will be sent after a delay, whatever the client sends. */
  HELD: 2,
  /** RESYNC was sent and is not answered. */
  SENT: 3,
} as const;
export type Fence = (typeof Fence)[keyof typeof Fence];

/** State needed only between HELLO and WELCOME. */
export interface PendingLogin {
  readonly resumeSession: bigint;
  /** Id of this run of the client, and the number of its attempt; see Hello. */
  readonly run: bigint;
  readonly attempt: number;
  /** Room to join; empty: none. */
  readonly room: string;
  /** Name of its software, for logs. */
  readonly client: string;
  /** The state node that was asked for the session, then for the room. */
  link: StateLink | undefined;
  resumed: boolean;
  /** Unix time at which the token expires, ms. */
  tokenExpiresAtMs: number;
  /** The user's handle. */
  handle: string;
  /** The room, once it is joined. */
  conversation: client.Conversation | undefined;
  /** State nodes whose ATTACHED is awaited. */
  awaited: readonly StateLink[];
}

export class Connection implements WheelItem<Connection> {
  /** Number in this worker. */
  readonly conn: number;
  readonly transport: Transport;
  readonly socket: Duplex;
  /** See broadcast-writer.ts. */
  readonly descriptor: number;
  /** Set on WebSocket. */
  readonly webSocket: WebSocket | undefined;
  /** Set on TCP. */
  readonly parser: FrameParser | undefined;
  /** The address counter that it counts against; undefined if exempt. */
  readonly origin: Origin | undefined;
  phase: Phase = Phase.HELLO;
  fence: Fence = Fence.OPEN;
  /** Ref of the newest RESYNC; 0 before the first. */
  mark = 0;
  /** Number of RESYNCs that it has answered. */
  round = 0;
  /** Heartbeat interval of its WELCOME, ms. */
  heartbeatMs = 0;
  /** Tick of the newest inbound frame. */
  seen = 0;
  /** Tick at which its unfinished frame began; 0 if none. */
  partialSince = 0;
  /** Memory of the unfinished frame, bytes; see partial-frames.ts. */
  partialBytes = 0;
  /** Tick at which its queue passed the bound; 0 if it has not. */
  slowSince = 0;
  /** Send budget of its account; undefined before authentication and while closing. */
  budget: Budget | undefined;
  /** Frames that wait for the budget; undefined if it is not throttled. See throttle.ts. */
  held: HeldFrames | undefined;
  user = 0n;
  /** The display name, once the session is granted; the state nodes show it with what the user sends. */
  userName = '';
  /** Id of its access token. */
  token = 0n;
  /** Tick at which that has expired. */
  tokenDue = 0;
  device = '';
  unnamedDevice = false;
  session = 0n;
  epoch = 0n;
  /** Room that it joined with HELLO, for frames without a key; 0n if none. */
  room = 0n;
  login: PendingLogin | undefined;
  /** What it watches; undefined: it has sent no WATCH. See watches.ts. */
  watch: Watch | undefined;
  /** Frames to write in this tick. */
  out: Downlink | undefined;
  /** Head of its FRAME records, made with the first one of each round. */
  head: Uint8Array | undefined;
  /** Why the gateway closed it; undefined if it did not. */
  closed: CodeWithDetails | undefined;
  /** Whether our half of the socket was ended. */
  ended = false;
  wheelNext: Connection | undefined;
  wheelPrevious: Connection | undefined;
  wheelDue = 0;

  constructor(
    conn: number,
    transport: Transport,
    socket: Duplex,
    peer: {
      readonly webSocket?: WebSocket;
      readonly parser?: FrameParser;
      readonly origin?: Origin | undefined;
    },
  ) {
    this.conn = conn;
    this.transport = transport;
    this.socket = socket;
    this.descriptor = descriptorOf(socket);
    this.webSocket = peer.webSocket;
    this.parser = peer.parser;
    this.origin = peer.origin;
  }

  /** Whether the state nodes know it or are being told. */
  get attached(): boolean {
    return this.phase >= Phase.ATTACH && this.phase <= Phase.LIVE;
  }
}
