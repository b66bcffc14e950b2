/** Checks before workers share a port: that it is free, and that the platform can share it. */
import { createServer } from 'node:net';
import { listen, listenError, type ListenOptions } from '../../common/mod.ts';
import type { Port } from '../supervisor/control.ts';

/**
 * Rejects with PORT_IN_USE if another process listens there, and with LISTEN_FAILED if nothing can.
 *
 * With SO_REUSEPORT two gateways of one user would share a port silently, so the first attempt is made without it.
 */
export async function assertPortFree(host: string, port: Port, flag: string): Promise<void> {
  if (port === 'off') return;
  const failure = port === 0 ? undefined : await tryListen({ host, port });
  if (failure !== undefined) throw listenError(failure, { host, port, flag });
}

/** Returns whether several listeners can share a port here (SO_REUSEPORT with balancing: Linux 3.9, some BSDs). */
export async function canReusePort(host: string): Promise<boolean> {
  return (await tryListen({ host, port: 0, reusePort: true })) === undefined;
}

/** Listens for a moment; returns the code of the error, if any. */
async function tryListen(options: ListenOptions): Promise<string | undefined> {
  const server = createServer();
  try {
    await listen(server, options, () => undefined);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code ?? message;
  }
  await new Promise((resolve) => server.close(resolve));
  return undefined;
}
