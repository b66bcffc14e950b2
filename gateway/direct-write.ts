/** Writes to a socket past Node's streams, where the kernel takes it at once: the dearest part of a fan-out. */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
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
  } catch {
    // EAGAIN: nothing fits. Anything else happens to the socket too, and ends it.
  }
  if (written < bytes.length) socket.write(written === 0 ? bytes : bytes.subarray(written));
}
