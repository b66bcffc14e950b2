/**
 * Lets calls that are in flight when a connection drains (GOAWAY) finish, however long they take.
 *
 * Reaches into: `Http2Session.prototype.ping` of Node.js (checked with 24.21 and grpc-js 1.14.7), for the whole thread.
 * Why: Node does not send a ping on a closing session, and grpc-js takes that for a dead peer. So the next keepalive
 * would end the very calls that GOAWAY lets finish. grpc-js has no option for this and does not expose its sessions, so a
 * closing session answers its pings here. If the peer dies meanwhile, such calls end by their own deadline, that of the
 * drain, or the transport.
 * Upstream: https://github.com/grpc/grpc-node/issues/3068
 * Without it: a call that outlives the drain of its connection by a keepalive interval fails with UNAVAILABLE.
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

/** Makes closing sessions answer their own pings. Only the first call in a thread has an effect. */
export function answerPingsOfClosingSessions(logger: Logger): void {
  if (isDone) return;
  isDone = true;
  probeNow(PIECE, logger, () => patchPing(openSession()));
}

/** Patches the prototype of a session and tests it on that session, which it destroys. Returns whether it works. */
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
    // A call in flight, so that the session is closing and not closed.
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
  // Loaded on demand: processes without calls do not need it.
  const { connect } = process.getBuiltinModule('node:http2');
  return connect('http://localhost', { createConnection: () => new PassThrough() }).on(
    'error',
    () => undefined,
  );
}
