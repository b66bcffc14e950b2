/** The client's own errors, with the texts of the catalogue, and the SDK's error type. */

interface LocalError {
  readonly message: string;
  readonly remedy: string;
  readonly retryable: boolean;
}

/** A copy of the catalogue's entries, because the SDK imports only the protocol. A test checks that they are equal. */
export const LOCAL_ERRORS = {
  SERVER_UNREACHABLE: {
    message: 'Cannot reach {what} at {url}.',
    remedy: 'Start the servers (make run), or name the address with {flag}.',
    retryable: true,
  },
  NO_GATEWAY: {
    message: 'No gateway with this transport is registered.',
    remedy: 'Start one (gochat gateway) and ask again after retry_after seconds.',
    retryable: true,
  },
  TEXT_TOO_LONG: {
    message: 'The text is longer than {max} bytes of UTF-8.',
    remedy: 'Split it into shorter messages.',
    retryable: false,
  },
  TEXT_EMPTY: { message: 'The text is empty.', remedy: 'Send at least one character.', retryable: false },
  ARGUMENT_INVALID: {
    message: '{what} is not valid.',
    remedy: 'See docs/protocol.md or the OpenAPI page at /docs for what is accepted.',
    retryable: false,
  },
  FRAME_TOO_LARGE: {
    message: 'The frame is larger than {max} bytes.',
    remedy: 'Send smaller frames; Welcome.max_frame_bytes is the limit.',
    retryable: false,
  },
  FRAME_TOO_SHORT: {
    message: 'The length field is smaller than a frame header.',
    remedy: 'Speak the frame format of docs/protocol.md on this port.',
    retryable: false,
  },
  FRAME_INVALID: {
    message: 'The payload of the frame does not parse.',
    remedy: 'Encode the message that docs/protocol.md names for this frame type.',
    retryable: false,
  },
  HEARTBEAT_TIMEOUT: {
    message: 'Nothing was received for {ms} ms.',
    remedy: 'Send PING at the interval that WELCOME gives; connect again.',
    retryable: true,
  },
  DEADLINE_EXCEEDED: {
    message: 'The answer did not come in time.',
    remedy: 'Try again.',
    retryable: true,
  },
  CONNECTION_LOST: {
    message: 'The connection to the gateway broke.',
    remedy: 'Connect again; check the network if it happens again.',
    retryable: true,
  },
  CLIENT_CLOSED: {
    message: 'The client was closed before the server answered.',
    remedy: 'Connect again and check the history: the message may have arrived.',
    retryable: true,
  },
  OUTBOX_FULL: {
    message: 'More than {max} requests wait for an answer.',
    remedy: 'Wait until some are answered, then go on.',
    retryable: true,
  },
  NO_CONVERSATION: {
    message: 'No conversation is open.',
    remedy: 'Open one first: /dm USER or /join ROOM.',
    retryable: false,
  },
  COMMAND_INVALID: {
    message: '{what}',
    remedy: '/help lists the commands; write // to send a text that begins with a slash.',
    retryable: false,
  },
  INPUT_NOT_UTF8: {
    message: 'Line {line} of the input is not UTF-8.',
    remedy: 'Convert the input to UTF-8 (iconv does) and send the line again.',
    retryable: false,
  },
  INTERNAL: {
    message: 'Something went wrong inside the server.',
    remedy: 'Try again; the server log has the cause.',
    retryable: true,
  },
} as const satisfies Record<string, LocalError>;

export type LocalErrorCode = keyof typeof LOCAL_ERRORS;

/** The names in braces of a sentence. */
type NamesIn<Sentence extends string> = Sentence extends `${string}{${infer Name}}${infer Rest}`
  ? Name | NamesIn<Rest>
  : never;
type NamesOf<Code extends LocalErrorCode> =
  NamesIn<`${(typeof LOCAL_ERRORS)[Code]['message']} ${(typeof LOCAL_ERRORS)[Code]['remedy']}`>;
/** Requires details if the code's sentences have names in them. */
type LocalOptions<Code extends LocalErrorCode> =
  NamesOf<Code> extends never
    ? [options?: ClientErrorOptions]
    : [options: ClientErrorOptions & { readonly details: Readonly<Record<NamesOf<Code>, string | number>> }];

export interface ClientErrorOptions {
  readonly details?: Readonly<Record<string, string | number>>;
  /** @default what the catalogue says of the code */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/** An error with a code of docs/errors.md, from the client or a server. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** Least wait before a retry, ms; 0: no hint. */
  readonly retryAfterMs: number;

  constructor(code: string, message: string, retryable: boolean, retryAfterMs = 0, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }

  /** Returns an error of the client's own, with the catalogue's message and remedy. */
  static local<Code extends LocalErrorCode>(code: Code, ...[options = {}]: LocalOptions<Code>): ClientError {
    const { message, remedy, retryable }: LocalError = LOCAL_ERRORS[code];
    const details: ClientErrorOptions['details'] = options.details;
    const text = `${message} ${remedy}`.replace(/\{(\w+)\}/g, (_, name: string) =>
      String(details?.[name] ?? '?'),
    );
    return new ClientError(code, text, options.retryable ?? retryable, 0, options.cause);
  }

  /** Returns the same error with another value of `retryable`. */
  with({ retryable }: { readonly retryable: boolean }): ClientError {
    if (retryable === this.retryable) return this;
    return new ClientError(this.code, this.message, retryable, this.retryAfterMs, this.cause);
  }

  /** Returns a ClientError as it is, and any other error as INTERNAL with it as the cause. */
  static from(error: unknown): ClientError {
    return error instanceof ClientError ? error : ClientError.local('INTERNAL', { cause: error });
  }
}
