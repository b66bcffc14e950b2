/** Classification of the PostgreSQL driver's errors by what a caller can do. */
import pg from 'pg';
import { GochatError } from '../../../common/mod.ts';

/**
 * - conflict: the statement lost against another one; a repeat is expected to pass.
 * - lost: the connection broke under the statement; a new connection may serve a repeat.
 * - unavailable: the server does not answer, refuses or is full.
 * - stale: the server became a read-only standby; only new connections can reach the primary.
 * - bug: the statement is wrong.
 */
export type Trouble = 'conflict' | 'lost' | 'unavailable' | 'stale' | 'bug';

const LOST = new Set(['ECONNRESET', 'EPIPE', '57P01', '57P02']);
/** Driver errors without a code that mean a lost connection; the last one comes from a replaced pool. */
const LOST_MESSAGE = /^(Connection terminated|Client (has encountered|was closed)|Cannot use a pool)/;
// Classes of SQLSTATE: connection, authorization, no such database, rollback, resources, not in state, operator,
// system, internal. https://www.postgresql.org/docs/current/errcodes-appendix.html
const UNAVAILABLE_CLASSES = new Set(['08', '28', '3D', '40', '53', '55', '57', '58', 'XX']);

// Data, constraints, program limits. Duplicates are not among them: they are found before.
const CONTENT_CLASSES = new Set(['22', '23', '54']);
const UNIQUE_VIOLATION = '23505';

const BUGS = [TypeError, RangeError, ReferenceError];

/** A host could not be connected to, or is not usable. */
export class Unreached extends Error {
  constructor(host: string, cause: unknown) {
    super(`${host}: ${reasonOf(cause)}`, { cause });
  }
}

/** Classifies an error of the driver by its SQLSTATE or system error code. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof Unreached) return troubleOf(error.cause);
  if (!(error instanceof Error) || BUGS.some((kind) => error instanceof kind)) return 'bug';
  const code = errorCode(error) ?? '';
  if (code === '40001' || code === '40P01') return 'conflict';
  if (code === '25006') return 'stale';
  if (LOST.has(code) || LOST_MESSAGE.test(error.message)) return 'lost';
  if (error instanceof pg.DatabaseError)
    return UNAVAILABLE_CLASSES.has(code.slice(0, 2)) ? 'unavailable' : 'bug';
  return 'unavailable';
}

/** Returns the error for the callers of the store, with the driver's as its cause. */
export function storeError(error: unknown): GochatError {
  if (error instanceof GochatError) return error;
  return new GochatError(troubleOf(error) === 'bug' ? 'INTERNAL' : 'STORE_UNAVAILABLE', { cause: error });
}

/** Returns the SQLSTATE if the database rejects the content of this statement only. */
export function contentFault(error: unknown): string | undefined {
  if (error instanceof GochatError) return contentFault(error.cause);
  const code = errorCode(error) ?? '';
  const isFault = code !== UNIQUE_VIOLATION && CONTENT_CLASSES.has(code.slice(0, 2));
  return isFault && error instanceof pg.DatabaseError ? code : undefined;
}

/** Returns the reason for which a database could not be opened, as part of a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof GochatError && error.cause !== undefined) return reasonOf(error.cause);
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  if (!(error instanceof Error)) return String(error);
  return error.message || errorCode(error) || error.name;
}

function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code;
}
