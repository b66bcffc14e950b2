/** Classification of the ends of client sockets: orderly or cut off. */
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';

/** Status that ws reports if no close frame came. */
export const NO_CLOSE_FRAME = 1006;

/** Sockets that a write has found reset. */
const RESET = new WeakSet<Duplex>();

/** Returns whether a closed socket was cut off: its peer had not ended its half before. */
export function wasCutOff(socket: Duplex): boolean {
  const { errored, readableEnded } = socket;
  if (RESET.has(socket)) return true;
  // The kernel reports EPIPE for a reset after a FIN: the peer has closed while more was on its way.
  return errored !== null && !readableEnded && (errored as NodeJS.ErrnoException).code !== 'EPIPE';
}

/**
 * Handles a failed write. Returns whether the bytes can be dropped because the peer is gone. What the peer sent before,
 * perhaps its CLOSE, must still be read, and a failed write through Node would destroy the socket.
 *
 * @param errno of node:os
 */
export function isLeftToReader(socket: Duplex, errno: number): boolean {
  const { EPIPE, ECONNRESET } = constants.errno;
  // The kernel reports ECONNRESET once, then EPIPE.
  if (errno === ECONNRESET) RESET.add(socket);
  // A paused socket would not notice the end.
  return (errno === EPIPE || errno === ECONNRESET) && !socket.isPaused();
}
