/** The errors of crpc, and the interface by which any error reaches the caller as it was thrown. */
import { status } from '@grpc/grpc-js';

/** gRPC status codes by name, as plain numbers: https://grpc.github.io/grpc/core/md_doc_statuscodes.html. */
export const GrpcStatus: Readonly<Record<Extract<keyof typeof status, string>, number>> = status;

export type ErrorDetails = Readonly<Record<string, string | number>>;

/**
 * An error that reaches the caller with its code, message, details and hints. CrpcError is one; applications may throw
 * their own classes with these members.
 */
export interface CodedError extends Error {
  /** The code, for programs, such as NAME_TAKEN: A to Z, digits and underscores. */
  readonly code: string;
  /** Status of the gRPC call that fails with it, for peers and tools that know no code. */
  readonly grpcStatus: number;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  readonly details: ErrorDetails;
  /** Wait before a retry, ms. */
  readonly retryAfterMs: number | undefined;
}

interface Entry {
  /** The message; {name} is replaced from the details. */
  readonly message: string;
  readonly status: keyof typeof GrpcStatus;
  readonly retryable?: boolean;
}

/** crpc's own errors. */
const ENTRIES = {
  CANCELLED: { message: 'The caller cancelled the call.', status: 'CANCELLED', retryable: true },
  CIRCUIT_OPEN: {
    message: 'All endpoints of {what} have failed too often and are not called for a while.',
    status: 'UNAVAILABLE',
    retryable: true,
  },
  CONFIG_INVALID: { message: '{what}', status: 'INVALID_ARGUMENT' },
  DEADLINE_EXCEEDED: {
    message: 'The answer did not come in time.',
    status: 'DEADLINE_EXCEEDED',
    retryable: true,
  },
  FRAME_INVALID: { message: 'A batch does not parse.', status: 'INVALID_ARGUMENT' },
  INTERNAL: { message: 'Something went wrong inside the server.', status: 'INTERNAL', retryable: true },
  LISTEN_FAILED: { message: 'Cannot listen on {host} port {port}: {reason}.', status: 'UNAVAILABLE' },
  NUMBERS_EXHAUSTED: {
    message: 'All numbers from 0 to {max} for {name} are in use.',
    status: 'RESOURCE_EXHAUSTED',
    retryable: true,
  },
  OVERLOADED: {
    message: 'The server has more work queued than it may hold.',
    status: 'RESOURCE_EXHAUSTED',
    retryable: true,
  },
  PORT_IN_USE: { message: 'Port {port} on {host} is in use.', status: 'UNAVAILABLE' },
  PROTOCOL_UNSUPPORTED: {
    message: '{peer} speaks versions {client} of {method}, the server speaks versions {server}.',
    status: 'FAILED_PRECONDITION',
  },
  RATE_LIMITED: { message: 'Too many requests.', status: 'RESOURCE_EXHAUSTED', retryable: true },
  REGISTRY_UNREACHABLE: {
    message: 'Cannot reach etcd at {url}: {reason}.',
    status: 'UNAVAILABLE',
    retryable: true,
  },
  SERVER_DRAINING: { message: 'The server is being stopped.', status: 'UNAVAILABLE', retryable: true },
  SERVER_UNREACHABLE: { message: 'Cannot reach {what} at {url}.', status: 'UNAVAILABLE', retryable: true },
  TOKEN_INVALID: { message: 'The call does not carry the token of the server.', status: 'UNAUTHENTICATED' },
} as const satisfies Record<string, Entry>;

/** crpc's own codes, with known message, status and retryability. */
export type CrpcErrorCode = keyof typeof ENTRIES;

export interface CrpcErrorOptions {
  readonly cause?: unknown;
  readonly details?: ErrorDetails;
  readonly retryAfterMs?: number | undefined;
  /** @default the code's */
  readonly grpcStatus?: number;
}

/** Further fields of an application's error. */
export interface OwnErrorOptions extends CrpcErrorOptions {
  readonly message: string;
  readonly grpcStatus: number;
  /** @default false */
  readonly retryable?: boolean;
}

/** An error with a code: crpc's own, or an application's that needs no class. */
export class CrpcError extends Error implements CodedError {
  override readonly name = 'CrpcError';
  readonly code: string;
  readonly grpcStatus: number;
  readonly retryable: boolean;
  readonly details: ErrorDetails;
  readonly retryAfterMs: number | undefined;

  constructor(code: CrpcErrorCode, options?: CrpcErrorOptions);
  constructor(code: string, options: OwnErrorOptions);
  constructor(code: string, options: CrpcErrorOptions & Partial<OwnErrorOptions> = {}) {
    const entry: Entry = isOwn(code) ? ENTRIES[code] : ENTRIES.INTERNAL;
    const { details = {}, cause } = options;
    super(options.message ?? filled(entry.message, details), cause === undefined ? undefined : { cause });
    this.code = code;
    this.grpcStatus = options.grpcStatus ?? GrpcStatus[entry.status];
    this.retryable = options.retryable ?? entry.retryable ?? false;
    this.details = details;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Returns an error with a code as it is, and any other as INTERNAL with it as the cause. */
  static from(error: unknown): CodedError {
    return isCoded(error) ? error : new CrpcError('INTERNAL', { cause: error });
  }
}

/** Returns whether an error reaches the caller as it was thrown. */
export function isCoded(error: unknown): error is CodedError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    'grpcStatus' in error &&
    typeof error.grpcStatus === 'number'
  );
}

function isOwn(code: string): code is CrpcErrorCode {
  return Object.hasOwn(ENTRIES, code);
}

function filled(message: string, details: ErrorDetails): string {
  return message.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? '?'));
}
