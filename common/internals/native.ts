/**
 * The switch of all that reaches into other people's internals. This folder holds every such piece. Each proves at start,
 * on an object that it throws away, that what it reaches into is as it expects; where it is not, GoChat does without the
 * piece and logs that once. `GOCHAT_NATIVE=0` turns all of them off.
 */
import type { Logger } from '../logger.ts';

export const NATIVE_VARIABLE = 'GOCHAT_NATIVE';

export interface Piece {
  readonly name: string;
  /** What GoChat does without it. */
  readonly without: string;
}

/** Returns whether pieces are on at all. */
export function isNativeOn(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return env[NATIVE_VARIABLE] !== '0';
}

/** Returns whether a piece is on and its check passes, and logs it if not. @param check may throw, which is a no */
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

/** As `probe`, with a check that does not wait for anything. */
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
