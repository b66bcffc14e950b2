/** Opens the ports of servers. */
import type { AddressInfo, Server } from 'node:net';
import { joinAddress } from './address.ts';
import { GochatError } from './errors.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Whether other threads listen on the same port. @default false */
  readonly reusePort?: boolean;
  /** Length of the kernel's accept queue. @default 511 */
  readonly backlog?: number;
}

/** Listens and returns the port. Rejects with the system's error. */
export function listen(server: Server, options: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...options }, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Listens and returns host:port. @throws GochatError PORT_IN_USE or LISTEN_FAILED, naming the flag that sets the port */
export async function listenAt(server: Server, host: string, port: number, flag: string): Promise<string> {
  try {
    return joinAddress(host, await listen(server, { host, port }));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw listenError(code ?? message, { host, port, flag }, cause);
  }
}

/**
 * Returns the error of a server that cannot listen.
 *
 * @param reason code of the system's error
 * @param where `flag` is the command-line flag that sets the port
 */
export function listenError(
  reason: string,
  where: { readonly host: string; readonly port: number; readonly flag: string },
  cause?: unknown,
): GochatError {
  return new GochatError(reason === 'EADDRINUSE' ? 'PORT_IN_USE' : 'LISTEN_FAILED', {
    details: { ...where, reason },
    cause,
  });
}
