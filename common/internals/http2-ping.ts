/**
 * Lets calls that run when a connection is given up or drained (GOAWAY) finish, however long they take.
 *
 * Reaches into: `Http2Session.prototype.ping` of Node.js (checked with 24.21 and grpc-js 1.14.7), for the whole thread.
 * Why: Node refuses to send a ping on a session that is closing, and grpc-js takes that for a dead peer: the next keepalive
 * would cut the very calls that the GOAWAY leaves to finish. There is no option for it and grpc-js shows its sessions to
 * nobody, so a session that is closing answers its pings here. What ends such calls when the peer dies meanwhile is their
 * own deadline, the drain's, or the transport.
 * Upstream: https://github.com/grpc/grpc-node/issues/3068
 * Without it: a call that outlives the drain of its connection by a keepalive interval is cut, UNAVAILABLE.
 */
import type { ClientHttp2Session, Http2Session } from 'node:http2';
import { PassThrough } from 'node:stream';
import type { Logger } from '../logger.ts';
import { type Piece, probeNow } from './native.ts';

type PingCallback = (error: Error | null, duration: number, payload: Buffer) => void;

const PIECE: Piece = {
  name: 'http2-ping',
  without: 'a call that outlives the drain of its connection by a keepalive interval is cut',
};
const NO_PAYLOAD = Buffer.alloc(8);

let isDone = false;

/** Has sessions that are closing answer their own pings. Only the first call in a thread does something. */
export function answerPingsOfClosingSessions(logger: Logger): void {
  if (isDone) return;
  isDone = true;
  probeNow(PIECE, logger, () => patchPing(openSession()));
}

/** Patches what the session inherits, and tries it on the session, which is then gone. Returns whether it works. */
export function patchPing(session: ClientHttp2Session): boolean {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf(session)) as Http2Session;
  const ping: unknown = Reflect.get(prototype, 'ping');
  if (typeof ping !== 'function') return false;
  prototype.ping = function (this: Http2Session, ...args: unknown[]): boolean {
    if (!this.closed || this.destroyed) return Reflect.apply(ping, this, args) as boolean;
    const callback = args.at(-1) as PingCallback;
    process.nextTick(() => callback(null, 0, NO_PAYLOAD));
    return true;
  };
  let right = false;
  try {
    // A call that runs, so that the session is closing and not gone.
    session.request().on('error', () => undefined);
    const wasClosed = session.closed;
    session.close();
    right = !wasClosed && session.closed && !session.destroyed && session.ping(() => undefined);
  } finally {
    if (!right) Reflect.set(prototype, 'ping', ping);
    session.destroy();
  }
  return right;
}

function openSession(): ClientHttp2Session {
  // What makes no calls need not load it.
  const { connect } = process.getBuiltinModule('node:http2');
  return connect('http://localhost', { createConnection: () => new PassThrough() }).on(
    'error',
    () => undefined,
  );
}
