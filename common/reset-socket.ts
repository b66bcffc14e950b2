import type { Socket } from 'node:net';

/**
 * Ends a TCP connection with RST, so that the kernel forgets at once what the peer does not take.
 *
 * While FIN is being asked for, from the end of the stream until `finish`, libuv refuses a reset, and Node then loses the
 * descriptor and never says `close` (seen in 24.21). The connection is closed in the ordinary way there: nothing waits
 * for the peer in this process any more.
 */
export function resetSocket(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (isEnding && (socket.connecting || socket.writableLength === 0)) socket.destroy();
  else socket.resetAndDestroy();
}
