/** Writes to a socket past Node's streams, where the kernel takes it at once: the dearest part of a fan-out. */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/** A net.Socket as it is; null once it is destroyed, which is when its descriptor is closed. */
interface Handled {
  readonly _handle: { readonly fd: number } | null;
}

/** Returns the descriptor of a plain socket; -1: there is none to be written to, as of TLS. */
export function descriptorOf(socket: Duplex): number {
  if (!(socket instanceof Socket) || socket instanceof TLSSocket) return -1;
  const { _handle: handle } = socket as unknown as Handled;
  return handle?.fd ?? -1;
}

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

/**
 * Writes to a socket that nothing waits for. What the kernel does not take at once waits in the socket as ever, and
 * what is wrong with it shows there.
 *
 * @param descriptor descriptorOf the socket
 */
export function writeNow(socket: Duplex, descriptor: number, bytes: Buffer): void {
  const { _handle: handle } = socket as unknown as Handled;
  if (descriptor < 0 || handle === null || socket.writableLength > 0) {
    socket.write(bytes);
    return;
  }
  let written = 0;
  try {
    written = writeSync(descriptor, bytes);
  } catch (error) {
    if (isLeftToReader(socket, -((error as NodeJS.ErrnoException).errno ?? 0))) return;
    // EAGAIN: nothing fits. Anything else happens to the socket too, and ends it.
  }
  if (written < bytes.length) socket.write(written === 0 ? bytes : bytes.subarray(written));
}
