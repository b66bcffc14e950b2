/** How the socket of a client has ended: in good order, or cut off. */
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';

/** Whose connection a write has found reset. */
const RESET = new WeakSet<Duplex>();

/** Whether a socket that has closed was cut off: its peer had neither ended its half in good order before, nor do we know why. */
export function wasCutOff(socket: Duplex): boolean {
  const { errored, readableEnded } = socket;
  if (RESET.has(socket)) return true;
  // EPIPE is what the kernel says of a reset that comes behind a FIN: the peer has closed while more was on its way.
  return errored !== null && !readableEnded && (errored as NodeJS.ErrnoException).code !== 'EPIPE';
}

/**
 * The kernel has refused bytes. Returns whether they can be forgotten because the peer is gone: what it has sent before,
 * its goodbye perhaps, is still to be read, and Node would destroy the socket with a write that fails.
 *
 * @param errno of node:os
 */
export function isLeftToReader(socket: Duplex, errno: number): boolean {
  const { EPIPE, ECONNRESET } = constants.errno;
  // The kernel says it once; whatever comes next is EPIPE.
  if (errno === ECONNRESET) RESET.add(socket);
  // One that is not read would not notice.
  return (errno === EPIPE || errno === ECONNRESET) && !socket.isPaused();
}
