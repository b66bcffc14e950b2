/** What the tabs of a browser tell each other. */
import { ClientError, type ClientEvent, type WatchTargets } from '../sdk/mod.ts';

export type TabMessage =
  /** From the tab that is connected, to all: an event of its client. */
  | { readonly kind: 'event'; readonly event: ClientEvent }
  /** A tab is new, or does not know whether there is a connection. */
  | { readonly kind: 'hello'; readonly tab: string }
  /** The answer: events that tell a tab how things are. */
  | {
      readonly kind: 'state';
      readonly tab: string;
      readonly events: readonly ClientEvent[];
      readonly maxTextBytes: number;
    }
  /** Another tab is connected from now on: what was not answered is asked again. */
  | { readonly kind: 'leading' }
  | {
      readonly kind: 'call';
      readonly tab: string;
      readonly id: number;
      readonly path: string;
      readonly args: readonly unknown[];
    }
  | {
      readonly kind: 'answer';
      readonly tab: string;
      readonly id: number;
      readonly value?: unknown;
      readonly error?: TabError;
    }
  /** What a tab shows; undefined: it is closed. */
  | { readonly kind: 'watch'; readonly tab: string; readonly targets: Partial<WatchTargets> | undefined };

/** A ClientError as it goes from tab to tab. */
export interface TabError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number;
}

export function toTabError(thrown: unknown): TabError {
  const { code, message, retryable, retryAfterMs } = ClientError.from(thrown);
  return { code, message, retryable, retryAfterMs };
}

export function fromTabError({ code, message, retryable, retryAfterMs }: TabError): ClientError {
  return new ClientError(code, message, retryable, retryAfterMs);
}
