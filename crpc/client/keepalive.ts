/** Keepalive of connections that are about to end in good order. */
import { connect } from 'node:http2';
import type { Http2Session } from 'node:http2';
import { PassThrough } from 'node:stream';

type PingCallback = (error: Error | null, duration: number, payload: Buffer) => void;

const NO_PAYLOAD = Buffer.alloc(8);

let isSetUp = false;

/**
 * Lets calls that run when a connection is given up or drained (GOAWAY) finish, however long they take. Idempotent.
 *
 * Node refuses to send a ping on a session that is closing, and grpc-js takes that for a dead peer: the next keepalive
 * would cut the very calls that the GOAWAY leaves to finish (https://github.com/grpc/grpc-node/issues/3068). There is no
 * option for it and grpc-js shows its sessions to nobody, so a session that is closing answers its pings here. What ends
 * such calls when the peer dies meanwhile is their own deadline, the drain's, or the transport.
 */
export function setupKeepalive(): void {
  if (isSetUp) return;
  isSetUp = true;
  const session = connect('http://localhost', { createConnection: () => new PassThrough() });
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf(session)) as Http2Session;
  session.on('error', () => {});
  session.destroy();
  const ping = Reflect.get(prototype, 'ping') as (...args: unknown[]) => boolean;
  prototype.ping = function (this: Http2Session, ...args: unknown[]): boolean {
    if (!this.closed || this.destroyed) return Reflect.apply(ping, this, args);
    const callback = args.at(-1) as PingCallback;
    process.nextTick(() => callback(null, 0, NO_PAYLOAD));
    return true;
  };
}
