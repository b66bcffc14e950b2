/**
 * The switch for everything that reaches into the internals of Node or a library. This folder holds all such pieces. Each
 * checks at start, on a throw-away object, that the internals have the shape it expects. If not, GoChat runs without the
 * piece and logs that once. `GOCHAT_NATIVE=0` turns all of them off.
 */
import type { Logger } from '../logger.ts';

export const NATIVE_VARIABLE = 'GOCHAT_NATIVE';

export interface Piece {
  readonly name: string;
  /** The consequence of running without it. */
  readonly without: string;
}

/** Returns whether the pieces are switched on. */
export function isNativeOn(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return env[NATIVE_VARIABLE] !== '0';
}

/** Returns whether a piece is on and its check passes; logs if not. @param check may throw, which counts as failed */
export async function probe(
  piece: Piece,
  logger: Logger,
  check: () => boolean | Promise<boolean>,
): Promise<boolean> {
  if (!isNativeOn()) return refuse(piece, logger);
  try {
    return (await check()) || refuse(piece, logger, 'not as expected');
  } catch (error) {
    return refuse(piece, logger, (error as Error).message);
  }
}

/** The same as `probe`, with a synchronous check. */
export function probeNow(piece: Piece, logger: Logger, check: () => boolean): boolean {
  if (!isNativeOn()) return refuse(piece, logger);
  try {
    return check() || refuse(piece, logger, 'not as expected');
  } catch (error) {
    return refuse(piece, logger, (error as Error).message);
  }
}

function refuse({ name, without }: Piece, logger: Logger, reason?: string): false {
  if (reason === undefined) logger.info({ piece: name, without }, `turned off by ${NATIVE_VARIABLE}=0`);
  else logger.warn({ piece: name, without, reason }, 'turned off: its check failed');
  return false;
}
