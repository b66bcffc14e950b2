/**
 * Writes the same bytes to many sockets in one call.
 *
 * Reaches into: `_handle.fd` of a net.Socket of Node.js (checked with 24.21), to which write-many.c sends.
 * Why: a call through Node's streams for each socket is the most expensive part of a room's fan-out.
 * Upstream: https://github.com/nodejs/node/issues/4763 (closed: the descriptor is not published)
 * Without it: sockets are written one by one, which costs about a fifth more in a room. And where a write finds that the
 * client has reset the connection, what the client sent before, perhaps its CLOSE, is no longer read.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../logger.ts';
import { type Piece, probe } from './native.ts';

/** See write-many.c. */
export type WriteMany = (
  descriptors: Int32Array,
  count: number,
  bytes: Uint8Array,
  taken: Int32Array,
) => void;

/** The part of a net.Socket that is used; null once it is destroyed and its descriptor closed. */
interface Handled {
  readonly _handle?: { readonly fd?: number } | null;
}

const PIECE: Piece = { name: 'write-many', without: 'a room costs its gateway about a fifth more' };
const BUILT = fileURLToPath(new URL('./write-many.node', import.meta.url));
const PROBE = Buffer.from('gochat');
const DEADLINE_MS = 2000;

/** Returns the descriptor of a plain socket; -1 if it has none that can be written to, for example with TLS. */
export function descriptorOf(socket: Duplex): number {
  if (!(socket instanceof Socket) || socket instanceof TLSSocket) return -1;
  const { _handle: handle } = socket as Handled;
  return handle?.fd ?? -1;
}

/**
 * Returns the compiled function, which scripts/build-native.sh puts beside this module, after a test on a loopback
 * connection; undefined if it is not built, turned off, or fails the test.
 */
export async function openWriteMany(
  logger: Logger,
  path = BUILT,
  load = (from: string) => createRequire(import.meta.url)(from) as WriteMany,
): Promise<WriteMany | undefined> {
  if (!existsSync(path)) return undefined;
  let writeMany: WriteMany | undefined;
  const works = await probe(PIECE, logger, () => arrives((writeMany = load(path))));
  return works ? writeMany : undefined;
}

/** Returns whether bytes that it writes to a socket arrive at the other end. */
async function arrives(writeMany: WriteMany): Promise<boolean> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening', { signal });
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let near: Socket | undefined;
  try {
    [near] = (await once(server, 'connection', { signal })) as [Socket];
    const taken = new Int32Array(1);
    writeMany(Int32Array.of(descriptorOf(near)), 1, PROBE, taken);
    if (taken[0] !== PROBE.length) return false;
    const [bytes] = (await once(far, 'data', { signal })) as [Buffer];
    return bytes.equals(PROBE);
  } finally {
    near?.destroy();
    far.destroy();
    server.close();
  }
}
