/** Opens the ports of servers. An error after that costs one client; the server goes on. */
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { joinAddress } from './address.ts';
import { GochatError } from './errors.ts';
import type { Logger } from './logger.ts';

/** Shortest interval between logs of accept errors: with EMFILE every client that tries causes one. ms. */
const LOG_INTERVAL_MS = 1000;

export interface ListenOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Whether other threads listen on the same port. @default false */
  readonly reusePort?: boolean;
  /** Length of the kernel's accept queue. @default 511 */
  readonly backlog?: number;
}

/** Where a server is to listen. */
export interface ListenPlace {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Command-line flag that sets the port. */
  readonly flag: string;
}

/**
 * Listens and returns the port. Rejects with the system's error.
 *
 * @param onAcceptError called with later errors of the server: a client could not be accepted, for example with EMFILE
 */
export async function listen(
  server: Server,
  options: ListenOptions,
  onAcceptError: (error: Error) => void,
): Promise<number> {
  // It may have listened before: what fails now is the listening.
  server.off('error', onAcceptError);
  server.listen({ ...options });
  await once(server, 'listening');
  server.on('error', onAcceptError);
  return (server.address() as AddressInfo).port;
}

/**
 * Listens and returns host:port; logs accept errors.
 *
 * @throws GochatError PORT_IN_USE or LISTEN_FAILED, naming the flag that sets the port
 */
export async function listenAt(server: Server, place: ListenPlace, logger: Logger): Promise<string> {
  const { host, port } = place;
  try {
    return joinAddress(host, await listen(server, { host, port }, acceptErrorLog(logger)));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw listenError(code ?? message, place, cause);
  }
}

/** Returns a function that logs accept errors of one server, at most one in LOG_INTERVAL_MS. */
export function acceptErrorLog(logger: Logger): (error: Error) => void {
  let loggedMs = -Infinity;
  return (error) => {
    if (performance.now() - loggedMs < LOG_INTERVAL_MS) return;
    loggedMs = performance.now();
    logger.warn({ err: error }, 'a client could not be accepted; with EMFILE, raise the limit of open files');
  };
}

/** Returns the error of a server that cannot listen. @param reason code of the system's error */
export function listenError(reason: string, place: ListenPlace, cause?: unknown): GochatError {
  return new GochatError(reason === 'EADDRINUSE' ? 'PORT_IN_USE' : 'LISTEN_FAILED', {
    details: { ...place, reason },
    cause,
  });
}
