/**
 * Reads from ws whether a connection has an unfinished message.
 *
 * Reaches into: `_receiver._state`, `_bufferedBytes` and `_fragmented` of a WebSocket of ws (checked with 8.23.0).
 * Why: ws reports only whole messages, and one that never ends would keep its memory as long as the client likes.
 * Upstream: no issue found that asks ws for it.
 * Without it: an unfinished WebSocket message has no deadline of its own and is not counted. The largest frame size, the
 * deadline of the handshake and the heartbeat still bound it.
 */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Logger } from '../logger.ts';
import { type Piece, probeNow } from './native.ts';

const PIECE: Piece = {
  name: 'ws-receiver',
  without: 'an unfinished WebSocket message has no deadline of its own, and its memory is not counted',
};

/** The part of ws's WebSocketServer that the check needs. */
export interface Upgrader<W> {
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, done: (webSocket: W) => void): void;
}

/** The private state of ws about the message that it is reading. */
interface Receiving {
  readonly _receiver: {
    /** 0: between frames. */
    readonly _state: number;
    readonly _bufferedBytes: number;
    /** Opcode of the message whose last fragment has not come; 0 if there is none. */
    readonly _fragmented: number;
  };
}

/**
 * Returns a function that tells whether a WebSocket has an unfinished message; undefined if that cannot be known.
 *
 * @param server the one that upgrades these WebSockets
 */
export function openWsReceiver<W extends { terminate(): void }>(
  server: Upgrader<W>,
  logger: Logger,
): ((webSocket: W) => boolean) | undefined {
  return probeNow(PIECE, logger, () => tellsParts(server)) ? hasPart : undefined;
}

function hasPart(webSocket: object): boolean {
  const { _receiver: receiver } = webSocket as Receiving;
  const { _state: state, _bufferedBytes: bytes, _fragmented: fragmented } = receiver;
  return fragmented !== 0 || state !== 0 || bytes > 0;
}

/** Bytes from a client (masked text frames, mask zero), each with whether a message is unfinished after them. */
const CHUNKS: readonly (readonly [bytes: readonly number[], isUnfinished: boolean])[] = [
  [[0x81], true],
  [[0x82, 0, 0], true],
  [[0, 0, 0x61], true],
  [[0x62], false],
  // The first of two fragments, whole, then the second.
  [[0x01, 0x81, 0, 0, 0, 0, 0x61], true],
  [[0x80, 0x81, 0, 0, 0, 0, 0x62], false],
];

function tellsParts<W extends { terminate(): void }>(server: Upgrader<W>): boolean {
  const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  const request = new IncomingMessage(new Socket());
  request.method = 'GET';
  request.headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': Buffer.alloc(16).toString('base64'),
    'sec-websocket-version': '13',
  };
  let right = false;
  server.handleUpgrade(request, socket, Buffer.alloc(0), (webSocket) => {
    right = !hasPart(webSocket);
    for (const [bytes, isUnfinished] of CHUNKS) {
      socket.emit('data', Buffer.from(bytes));
      right &&= hasPart(webSocket) === isUnfinished;
    }
    webSocket.terminate();
  });
  return right;
}
