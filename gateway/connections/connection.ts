/** What the gateway holds per connection: one object of a fixed shape, without closures, timers or buffers. */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { type CodeWithDetails, descriptorOf } from '../../common/mod.ts';
import type { FrameParser } from '../../proto/mod.ts';
import type { Origin } from '../accept/address-limits.ts';
import type { Downlink } from '../push/downlink.ts';
import type { HeldFrames } from './held-frames.ts';
import type { Budget } from './send-budget.ts';
import type { StateLink } from '../route/state-link.ts';
import type { WheelItem } from './timing-wheel.ts';

/** A kind of socket, and the form that frames have on it. */
export interface Transport {
  readonly kind: 'tcp' | 'ws';
  /** Returns a tick's frames as bytes of this wire; `owned`: they will wait, so they must not hold other memory. */
  pack(frames: Downlink, owned: boolean): Buffer;
  /** The connection is live: frames of any kind and of this size may come. */
  accept(connection: Connection, maxFrameBytes: number): void;
  /** Ends the socket behind what was written. */
  end(connection: Connection): void;
  /** Cuts the socket now. */
  destroy(connection: Connection): void;
  pause(connection: Connection): void;
  resume(connection: Connection): void;
}

/** What a socket brings along besides its bytes. */
export interface Peer {
  readonly webSocket?: WebSocket;
  readonly parser?: FrameParser;
  /** What `onSocket` returned for it. */
  readonly origin: Origin | undefined;
}

/** How far a connection has come; it only grows. */
export const Phase = {
  /** Connected; HELLO is awaited. */
  HELLO: 0,
  /** The token is being checked. */
  TOKEN: 1,
  /** State is asked for the session. */
  LOGIN: 2,
  /** The state nodes are putting it into their location maps. */
  ATTACH: 3,
  /** State is asked to let it into the room that HELLO names. */
  JOIN: 4,
  LIVE: 5,
  /** CLOSE is on its way; what still comes is dropped. */
  CLOSING: 6,
  CLOSED: 7,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** Whether messages of the connection may be forwarded; see resync-fence.ts. */
export const Fence = {
  OPEN: 0,
  /** RESYNC will be sent soon, or at once when the client sends something. */
  DUE: 1,
  /** RESYNC will be sent soon, not earlier. */
  HELD: 2,
  /** RESYNC is sent and not answered. */
  SENT: 3,
} as const;
export type Fence = (typeof Fence)[keyof typeof Fence];

/** What is needed between HELLO and WELCOME only. */
export interface PendingLogin {
  readonly resumeSession: bigint;
  /** The start of the client, and which of its attempts this is; see Hello. */
  readonly run: bigint;
  readonly attempt: number;
  /** Room to join; empty: none. */
  readonly room: string;
  /** State node that was asked for the session, then for the room. */
  link: StateLink | undefined;
  resumed: boolean;
  /** State nodes that are to answer ATTACH. */
  awaited: readonly StateLink[];
}

export class Connection implements WheelItem<Connection> {
  /** Number in this worker. */
  readonly conn: number;
  readonly transport: Transport;
  readonly socket: Duplex;
  /** See broadcast-writer.ts. */
  readonly descriptor: number;
  /** Set where the transport is WebSocket. */
  readonly webSocket: WebSocket | undefined;
  /** Set where the transport is TCP. */
  readonly parser: FrameParser | undefined;
  /** Whom it counts against; undefined: nobody. */
  readonly origin: Origin | undefined;
  phase: Phase = Phase.HELLO;
  fence: Fence = Fence.OPEN;
  /** Ref of the newest RESYNC; 0: none yet. */
  mark = 0;
  /** How many RESYNCs it has answered. */
  round = 0;
  /** Heartbeat interval that WELCOME told it, ms. */
  heartbeatMs = 0;
  /** Tick of the newest inbound frame. */
  seen = 0;
  /** Tick at which the frame that is not yet complete began; 0: none. */
  partialSince = 0;
  /** Memory that it holds, bytes; see partial-frames.ts. */
  partialBytes = 0;
  /** Tick at which its queue passed the bound; 0: it has not. */
  slowSince = 0;
  /** What its account may still send; undefined: it is not known whose it is, or it is closing. */
  budget: Budget | undefined;
  /** What waits for that; undefined: nothing, and it is read. See throttle.ts. */
  held: HeldFrames | undefined;
  user = 0n;
  userName = '';
  /** Id of its access token. */
  token = 0n;
  device = '';
  unnamedDevice = false;
  session = 0n;
  epoch = 0n;
  /** Room that it joined with HELLO, where frames without a key go; 0n: none. */
  room = 0n;
  login: PendingLogin | undefined;
  /** Frames that leave with this tick. */
  out: Downlink | undefined;
  /** Head of its FRAME records, made with the first one of a round. */
  head: Uint8Array | undefined;
  /** Why the gateway closed it; undefined: it did not. */
  closed: CodeWithDetails | undefined;
  /** Its half of the socket was ended. */
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

  /** The state nodes know it, or are being told. */
  get attached(): boolean {
    return this.phase >= Phase.ATTACH && this.phase <= Phase.LIVE;
  }
}
