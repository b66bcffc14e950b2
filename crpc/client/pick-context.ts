/** Communication between a call and the balancer, attached to the call's metadata object and never sent. */
import type { Metadata, MetadataOptions } from '@grpc/grpc-js';
import type { Endpoint } from '../registry/registry.ts';

/**
 * One per attempt of a call. grpc-js hands the options object of a call's Metadata on to the picker as it is, so this
 * costs nothing on the way.
 */
export class PickContext implements MetadataOptions {
  // MetadataOptions has only optional members, and TypeScript wants one of them named.
  declare readonly waitForReady?: boolean;
  /** A stream's duration says nothing about how fast the endpoint is. */
  readonly isStream: boolean;
  /** Endpoint of the attempt; undefined until the balancer has chosen. */
  endpoint: Endpoint | undefined;
  /** Ids of endpoints that failed this call before: others are preferred. */
  tried: Set<string> | undefined;
  /** Has the last word on an endpoint; the balancer calls it once it would choose this one. */
  admit: ((endpoint: Endpoint) => boolean) | undefined;
  /** Error of the call if `admit` refuses all endpoints. */
  refusal: (() => Error) | undefined;

  constructor(isStream: boolean) {
    this.isStream = isStream;
  }
}

/** Returns the context of a call; undefined for one that crpc did not make. */
export function pickContextOf(metadata: Metadata): PickContext | undefined {
  const options = metadata.getOptions();
  return options instanceof PickContext ? options : undefined;
}
