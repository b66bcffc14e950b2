/** How errors cross the wire: a GochatError travels as gRPC status plus its code, details and retry hint in trailers. */
import { Metadata } from '@grpc/grpc-js';
import { CATALOGUE, GochatError, GrpcStatus, isErrorCode } from '../../common/mod.ts';
import type { ErrorCode, ErrorDetails } from '../../common/mod.ts';

const CODE_KEY = 'crpc-code';
const RETRY_AFTER_KEY = 'crpc-retry-after-ms';
const DETAILS_KEY = 'crpc-details-bin';

/** Status codes without a GochatError behind them: a peer that is not a crpc one, or gRPC itself. */
const CODE_OF_STATUS: Partial<Record<number, ErrorCode>> = {
  [GrpcStatus.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [GrpcStatus.UNAUTHENTICATED]: 'TOKEN_INVALID',
};

/** A status as gRPC sends it. */
export interface WireStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Returns the status that tells a caller of this error; what is not a GochatError becomes INTERNAL. */
export function toStatus(error: unknown, trailers: Metadata = new Metadata()): WireStatus {
  const known = GochatError.from(error);
  trailers.set(CODE_KEY, known.code);
  if (known.retryAfterMs !== undefined) trailers.set(RETRY_AFTER_KEY, String(known.retryAfterMs));
  if (Object.keys(known.details).length > 0)
    trailers.set(DETAILS_KEY, Buffer.from(JSON.stringify(known.details)));
  return { code: known.entry.grpc, details: known.message, metadata: trailers };
}

/** What a caller knows about a call, for errors that gRPC itself makes. */
export interface CallOrigin {
  /** The target as the user wrote it. */
  readonly target: string;
  /** @see ChannelOptions.unavailable */
  readonly unavailable: ErrorCode;
  readonly method: string;
}

/** Returns the error that the peer raised, or the one that the status stands for; the gRPC error is its cause. */
export function fromStatus(error: WireStatus, origin: CallOrigin): GochatError {
  const [code] = error.metadata?.get(CODE_KEY) ?? [];
  if (typeof code === 'string' && isErrorCode(code)) {
    return GochatError.received(code, {
      cause: error,
      details: readDetails(error.metadata),
      retryAfterMs: readRetryAfter(error.metadata),
    });
  }
  if (error.code === GrpcStatus.UNAVAILABLE) {
    return GochatError.received(origin.unavailable, {
      cause: error,
      details: { what: origin.method, url: origin.target, flag: '--registry' },
    });
  }
  return GochatError.received(CODE_OF_STATUS[error.code] ?? 'INTERNAL', { cause: error });
}

/** Returns the gRPC status code of an error that `fromStatus` made, or of the catalogue's entry. */
export function statusOf(error: GochatError): number {
  const cause = error.cause;
  if (typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'number')
    return cause.code;
  return CATALOGUE[error.code].grpc;
}

function readRetryAfter(trailers: Metadata): number | undefined {
  const [value] = trailers.get(RETRY_AFTER_KEY);
  const ms = Number(value ?? Number.NaN);
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}

function readDetails(trailers: Metadata): ErrorDetails {
  const [value] = trailers.get(DETAILS_KEY);
  if (!Buffer.isBuffer(value)) return {};
  const details: Record<string, string | number> = {};
  try {
    const parsed: unknown = JSON.parse(value.toString());
    if (typeof parsed !== 'object' || parsed === null) return {};
    for (const [key, detail] of Object.entries(parsed))
      if (typeof detail === 'string' || typeof detail === 'number') details[key] = detail;
  } catch {
    // Another program's trailer of the same name: the code alone is enough.
  }
  return details;
}
