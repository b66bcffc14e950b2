/** Errors on the wire: gRPC status and message, with code, details and retry hints in trailers. */
import { Metadata } from '@grpc/grpc-js';
import { CrpcError, GrpcStatus } from '../errors.ts';
import type { CrpcErrorCode, ErrorDetails } from '../errors.ts';

const CODE_KEY = 'crpc-code';
const RETRYABLE_KEY = 'crpc-retryable';
const RETRY_AFTER_KEY = 'crpc-retry-after-ms';
const DETAILS_KEY = 'crpc-details-bin';
/** Valid codes: they become labels of metrics, so a peer's code must be bounded. */
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Codes for gRPC statuses without one: from a peer without crpc, or from gRPC itself. */
const CODE_OF_STATUS: Partial<Record<number, CrpcErrorCode>> = {
  [GrpcStatus.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [GrpcStatus.UNAUTHENTICATED]: 'TOKEN_INVALID',
};

/** A status as gRPC sends it. */
export interface WireStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Returns the status for an error; an error without a code becomes INTERNAL. */
export function toStatus(error: unknown, trailers: Metadata = new Metadata()): WireStatus {
  const { code, grpcStatus, message, retryable, retryAfterMs, details } = CrpcError.from(error);
  trailers.set(CODE_KEY, code);
  trailers.set(RETRYABLE_KEY, retryable ? '1' : '0');
  if (retryAfterMs !== undefined) trailers.set(RETRY_AFTER_KEY, String(retryAfterMs));
  if (Object.keys(details).length > 0) trailers.set(DETAILS_KEY, Buffer.from(JSON.stringify(details)));
  return { code: grpcStatus, details: message, metadata: trailers };
}

/** The caller's facts about a call, for errors made by gRPC itself. */
export interface CallOrigin {
  /** The target as the user wrote it. */
  readonly target: string;
  /** @see ChannelOptions.unavailable */
  readonly unavailable: string;
  readonly method: string;
}

/** Returns the error that the peer raised, or that the status stands for, with the gRPC error as its cause. */
export function fromStatus(error: WireStatus, origin: CallOrigin): CrpcError {
  const { code: grpcStatus, metadata } = error;
  const [code] = metadata?.get(CODE_KEY) ?? [];
  if (typeof code === 'string' && CODE.test(code)) {
    return new CrpcError(code, {
      message: error.details,
      grpcStatus,
      retryable: readRetryable(metadata, grpcStatus),
      details: readDetails(metadata),
      retryAfterMs: readRetryAfter(metadata),
      cause: error,
    });
  }
  if (grpcStatus === GrpcStatus.UNAVAILABLE) {
    const { method: what, target: url } = origin;
    return new CrpcError(origin.unavailable, {
      message: `Cannot reach ${what} at ${url}.`,
      grpcStatus,
      retryable: true,
      details: { what, url, flag: '--registry' },
      cause: error,
    });
  }
  return new CrpcError(CODE_OF_STATUS[grpcStatus] ?? 'INTERNAL', { grpcStatus, cause: error });
}

/** Reads `retryable`; peers of older versions do not send it. */
function readRetryable(trailers: Metadata, status: number): boolean {
  const [value] = trailers.get(RETRYABLE_KEY);
  if (value !== undefined) return value === '1';
  return status === GrpcStatus.UNAVAILABLE || status === GrpcStatus.RESOURCE_EXHAUSTED;
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
    // Another program's trailer of the same name: ignore it.
  }
  return details;
}
