/** Negotiation of a batch stream's protocol: each side's versions, and the agreement before the first record. */
import type { Metadata } from '@grpc/grpc-js';
import { CrpcError } from '../errors.ts';

/** Metadata key of each side's announcement: `OLDEST-NEWEST CAPABILITY…`. */
const PROTOCOL_KEY = 'crpc-protocol';
const ANNOUNCEMENT = /^(\d{1,9})-(\d{1,9})((?: [a-z0-9_-]+)*)$/;

/** Versions and capabilities of a program on the streams of a service. */
export interface BatchProtocol {
  /** Oldest supported version, an integer from 1. */
  readonly oldest: number;
  /** Newest supported version. */
  readonly newest: number;
  /** Capabilities, used if the peer has them as well; names of a to z, 0 to 9, _ and -. */
  readonly capabilities: readonly string[];
  /** What to do about a peer without a common version: a sentence for the logs of both sides. @default none */
  readonly remedy?: string;
}

/** The agreement of both sides. */
export interface AgreedProtocol {
  /** Newest common version. */
  readonly version: number;
  readonly capabilities: ReadonlySet<string>;
}

/** Protocol of a peer without an announcement. */
export const UNANNOUNCED: BatchProtocol = Object.freeze({ oldest: 1, newest: 1, capabilities: [] });
/** Protocol of a peer with an unreadable announcement: no version. */
const UNREADABLE: BatchProtocol = Object.freeze({ oldest: 0, newest: 0, capabilities: [] });

/** Writes this side's announcement into the metadata of a stream. */
export function announce(metadata: Metadata, { oldest, newest, capabilities }: BatchProtocol): void {
  metadata.set(PROTOCOL_KEY, [`${oldest}-${newest}`, ...capabilities].join(' '));
}

/** Reads the other side's announcement. */
export function announced(metadata: Metadata): BatchProtocol {
  const [text] = metadata.get(PROTOCOL_KEY);
  if (text === undefined) return UNANNOUNCED;
  const [, oldest, newest, capabilities] = ANNOUNCEMENT.exec(text.toString()) ?? [];
  if (capabilities === undefined) return UNREADABLE;
  return { oldest: Number(oldest), newest: Number(newest), capabilities: capabilities.split(' ').slice(1) };
}

/** Returns the agreement of two sides; undefined if they have no common version. */
export function agree(ours: BatchProtocol, theirs: BatchProtocol): AgreedProtocol | undefined {
  const version = Math.min(ours.newest, theirs.newest);
  if (version < Math.max(ours.oldest, theirs.oldest)) return undefined;
  const has = new Set(theirs.capabilities);
  return { version, capabilities: new Set(ours.capabilities.filter((name) => has.has(name))) };
}

/** Returns the error of a stream without a common version; both sides log the same sentences. @param remedy of this side */
export function unsupported(
  sides: {
    /** Path of the stream's method. */
    readonly method: string;
    /** Name of the client. */
    readonly peer: string;
    readonly client: BatchProtocol;
    readonly server: BatchProtocol;
  },
  remedy: string | undefined,
): CrpcError {
  const { method, peer } = sides;
  const [client, server] = [versionsOf(sides.client), versionsOf(sides.server)];
  return withRemedy(
    new CrpcError('PROTOCOL_UNSUPPORTED', { details: { peer, client, server, method } }),
    remedy,
  );
}

/** Returns a refusal for want of a common version with this side's remedy, unless it has one: the peer's may have none. */
export function withRemedy(error: CrpcError, remedy: string | undefined): CrpcError {
  const { code, grpcStatus, message, details, cause } = error;
  if (code !== 'PROTOCOL_UNSUPPORTED' || remedy === undefined || message.includes(remedy)) return error;
  return new CrpcError(code, { message: `${message} ${remedy}`, grpcStatus, details, cause });
}

function versionsOf({ oldest, newest }: BatchProtocol): string {
  return `${oldest} to ${newest}`;
}
