/** Communication between a call and the balancer, attached to the call's metadata object and never sent. */
import type { Metadata, MetadataOptions } from '@grpc/grpc-js';
import type { Endpoint } from '../registry/registry.ts';

/**
 * One per attempt of a call. grpc-js passes the options object of a call's Metadata to the picker unchanged, so this
 * costs nothing.
 */
export class PickContext implements MetadataOptions {
  // MetadataOptions has only optional members, and TypeScript requires one of them.
  declare readonly waitForReady?: boolean;
  /** Whether it is a stream, whose duration says nothing about latency. */
  readonly isStream: boolean;
  /** Endpoint of the attempt; undefined until the balancer has chosen. */
  endpoint: Endpoint | undefined;
  /** Ids of endpoints that have failed this call; others are preferred. */
  tried: Set<string> | undefined;
  /** Final check of an endpoint; called when the balancer would choose it. */
  admit: ((endpoint: Endpoint) => boolean) | undefined;
  /** Error of the call if `admit` refuses all endpoints. */
  refusal: (() => Error) | undefined;

  constructor(isStream: boolean) {
    this.isStream = isStream;
  }
}

/** Returns the context of a call; undefined if crpc did not make it. */
export function pickContextOf(metadata: Metadata): PickContext | undefined {
  const options = metadata.getOptions();
  return options instanceof PickContext ? options : undefined;
}
