import type { Socket } from 'node:net';

/**
 * Ends a TCP connection with RST, so that the kernel drops at once what the peer does not read.
 *
 * Between the end of the stream and `finish`, while FIN is being sent, libuv refuses a reset, and Node then loses the
 * descriptor and never emits `close` (seen in 24.21). Such a connection is closed with FIN: nothing in this process waits
 * for the peer any more.
 */
export function resetSocket(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (isEnding && (socket.connecting || socket.writableLength === 0)) socket.destroy();
  else socket.resetAndDestroy();
}
