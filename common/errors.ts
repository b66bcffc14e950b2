/** The error catalogue: one entry per code, and the error that carries a code. docs/errors.md is generated from it. */

/** gRPC status codes, https://grpc.github.io/grpc/core/md_doc_statuscodes.html. */
export const GrpcStatus = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type GrpcStatus = (typeof GrpcStatus)[keyof typeof GrpcStatus];

/** Process exit codes: 0 success, 1 runtime, 2 usage, 78 configuration (EX_CONFIG of sysexits.h). */
export const ExitCode = { OK: 0, RUNTIME: 1, USAGE: 2, CONFIG: 78 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export interface ErrorEntry {
  /** What happened, one sentence; {name} is replaced from the details. */
  readonly message: string;
  /** What to do about it, one sentence. */
  readonly remedy: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  readonly grpc: GrpcStatus;
  readonly http: number;
  /** WebSocket close status (RFC 6455, private range), for codes that end a connection. */
  readonly close?: number;
  /** Exit code, for codes that end a process. */
  readonly exit?: ExitCode;
}

/** Keeps the sentences as literal types, from which `DetailsOf` takes the names. */
function entry<const Message extends string, const Remedy extends string>(
  message: Message,
  remedy: Remedy,
  grpc: keyof typeof GrpcStatus,
  http: number,
  more: { retryable?: boolean; close?: number; exit?: ExitCode } = {},
): ErrorEntry & { readonly message: Message; readonly remedy: Remedy } {
  return { message, remedy, retryable: more.retryable ?? false, grpc: GrpcStatus[grpc], http, ...more };
}

/** All error codes of GoChat. */
export const CATALOGUE = {
  // Connection.
  FRAME_TOO_LARGE: entry(
    'The frame is larger than {max} bytes.',
    'Send smaller frames; Welcome.max_frame_bytes is the limit.',
    'RESOURCE_EXHAUSTED',
    413,
    { close: 4001 },
  ),
  FRAME_TOO_SHORT: entry(
    'The length field is smaller than a frame header.',
    'Speak the frame format of docs/protocol.md on this port.',
    'INVALID_ARGUMENT',
    400,
    { close: 4002 },
  ),
  FRAME_UNKNOWN: entry(
    'There is no frame of type {type} in this direction.',
    'Use the frame types of docs/protocol.md for the negotiated version.',
    'UNIMPLEMENTED',
    400,
  ),
  FRAME_INVALID: entry(
    'The payload of the frame does not parse.',
    'Encode the message that docs/protocol.md names for this frame type.',
    'INVALID_ARGUMENT',
    400,
  ),
  JSON_INVALID: entry(
    'The message is not a frame in JSON: {what}.',
    'Send one JSON object per message, as docs/protocol.md shows under "JSON".',
    'INVALID_ARGUMENT',
    400,
    { close: 4014 },
  ),
  PROXY_HEADER_INVALID: entry(
    'The connection comes from a load balancer but does not begin with a PROXY header.',
    'Make the balancer send one (send-proxy or send-proxy-v2), or remove it from --proxy-protocol.',
    'INVALID_ARGUMENT',
    400,
    { close: 4015 },
  ),
  HELLO_EXPECTED: entry(
    'The first frame was not a valid HELLO.',
    'Open the connection with HELLO as docs/protocol.md describes.',
    'FAILED_PRECONDITION',
    400,
    { close: 4003 },
  ),
  HELLO_TIMEOUT: entry(
    'No HELLO came within {ms} ms.',
    'Send HELLO right after connecting.',
    'DEADLINE_EXCEEDED',
    408,
    { close: 4004, retryable: true },
  ),
  FRAME_TIMEOUT: entry(
    'A frame was not completed within {ms} ms.',
    'Send each frame in one piece; check the network between client and gateway.',
    'DEADLINE_EXCEEDED',
    408,
    { close: 4005, retryable: true },
  ),
  HEARTBEAT_TIMEOUT: entry(
    'Nothing was received for {ms} ms.',
    'Send PING at the interval that WELCOME gives; connect again.',
    'DEADLINE_EXCEEDED',
    408,
    { close: 4006, retryable: true },
  ),
  VERSION_UNSUPPORTED: entry(
    'The client speaks protocol {min} to {max}, the server {version}.',
    'Use a client whose protocol version the server supports.',
    'FAILED_PRECONDITION',
    400,
    { close: 4007 },
  ),
  SUBPROTOCOL_MISSING: entry(
    'The WebSocket offers subprotocols, but neither gochat.v2.proto nor gochat.v2.json.',
    'Name one of them in Sec-WebSocket-Protocol, as in new WebSocket(url, "gochat.v2.json"), or none for the simple forms.',
    'INVALID_ARGUMENT',
    400,
  ),
  SLOW_CONSUMER: entry(
    'The client does not read what it is sent.',
    'Read faster; connect again and synchronise by cursor.',
    'RESOURCE_EXHAUSTED',
    429,
    { close: 4008, retryable: true },
  ),
  SESSION_REPLACED: entry(
    'The same device of this user connected again.',
    'Give each running client a device name of its own (--device).',
    'ABORTED',
    409,
    { close: 4009 },
  ),
  SERVER_DRAINING: entry(
    'The server is being stopped.',
    'Ask ipconf for another gateway and connect there.',
    'UNAVAILABLE',
    503,
    { close: 4010, retryable: true },
  ),
  TOO_MANY_CONNECTIONS: entry(
    'The gateway is at its limit of connections.',
    'Ask ipconf for another gateway; connect later.',
    'RESOURCE_EXHAUSTED',
    503,
    { close: 4011, retryable: true },
  ),
  ADDRESS_LIMITED: entry(
    'This address has too many connections, connects too often, or fails to log in too often.',
    'Wait for retry_after_ms; an operator can raise the limits per address or exempt it (exempt_addresses).',
    'RESOURCE_EXHAUSTED',
    429,
    { close: 4013, retryable: true },
  ),
  WORKER_FAILED: entry(
    'The gateway worker of this connection ended.',
    'Connect again now.',
    'UNAVAILABLE',
    503,
    { close: 4012, retryable: true },
  ),
  CLIENT_GOODBYE: entry('The client has closed the connection.', 'Nothing is wrong.', 'OK', 200, {
    close: 1000,
  }),

  // Accounts and authentication.
  TOKEN_INVALID: entry(
    'The access token is malformed, forged, or for another system or user.',
    'Log in again: POST /auth/login.',
    'UNAUTHENTICATED',
    401,
    { close: 4020 },
  ),
  TOKEN_EXPIRED: entry(
    'The access token has expired.',
    'Refresh it: POST /auth/refresh; or log in again: POST /auth/login.',
    'UNAUTHENTICATED',
    401,
    { close: 4021 },
  ),
  TICKET_INVALID: entry(
    'This gateway requires a valid ticket from ipconf for this user and gateway.',
    'Ask ipconf with uid= and connect at once, with the ticket in HELLO; ipconf must run with --tickets.',
    'UNAUTHENTICATED',
    401,
    { close: 4026, retryable: true },
  ),
  TOKEN_REVOKED: entry(
    'The access token has been logged out or revoked.',
    'Log in again: POST /auth/login.',
    'UNAUTHENTICATED',
    401,
    { close: 4040 },
  ),
  LOGGED_OUT: entry(
    'This session was logged out.',
    'Log in again: POST /auth/login.',
    'UNAUTHENTICATED',
    401,
    {
      close: 4041,
    },
  ),
  KICKED: entry(
    'An operator has ended this connection: {reason}.',
    'Ask the operator; connecting again may be allowed.',
    'ABORTED',
    403,
    { close: 4042 },
  ),
  REFRESH_INVALID: entry(
    'The refresh token is malformed, has expired, or belongs to a session that has ended.',
    'Log in again: POST /auth/login.',
    'UNAUTHENTICATED',
    401,
  ),
  REFRESH_REUSED: entry(
    'A refresh token of this session was used again after its successor: it may have been stolen, so the session has ended.',
    'Log in again: POST /auth/login; look at your sessions and change the password if this was not you.',
    'UNAUTHENTICATED',
    401,
    { close: 4043 },
  ),
  SESSION_NOT_FOUND: entry(
    'You have no such session.',
    'List your sessions: GET /api/v1/sessions. A session that has ended or expired is not listed.',
    'NOT_FOUND',
    404,
  ),
  ACCOUNT_SUSPENDED: entry(
    'This account is suspended.',
    'Ask an admin of the server.',
    'PERMISSION_DENIED',
    403,
    { close: 4044, exit: 1 },
  ),
  ACCOUNT_CLOSED: entry(
    'This account has been closed.',
    'Make another one: POST /auth/signup. Its name stays taken.',
    'UNAUTHENTICATED',
    401,
    { close: 4045 },
  ),
  ORIGIN_FORBIDDEN: entry(
    'A web page of {origin} may not do this here.',
    'Call from a page of this server, or let an operator add the origin to cors_origins.',
    'PERMISSION_DENIED',
    403,
  ),
  TOKEN_MISSING: entry(
    'The request has no access token.',
    'Send the header Authorization: Bearer TOKEN with the token of POST /auth/login.',
    'UNAUTHENTICATED',
    401,
  ),
  CREDENTIALS_WRONG: entry(
    'The user name or the password is wrong.',
    'Check both; POST /auth/signup creates an account.',
    'UNAUTHENTICATED',
    401,
    { exit: 1 },
  ),
  OPENID_FAILED: entry(
    'The identity provider has not confirmed the log-in: {why}.',
    'Begin again: GET /auth/openid/login.',
    'UNAUTHENTICATED',
    401,
  ),
  OPENID_UNREACHABLE: entry(
    'The identity provider cannot be reached, or is none.',
    'Try again later; an operator checks openid_issuer.',
    'UNAVAILABLE',
    503,
    { retryable: true },
  ),
  NAME_TAKEN: entry('The name {name} is taken.', 'Choose another name.', 'ALREADY_EXISTS', 409),
  NAME_INVALID: entry(
    '{name} is not a valid name.',
    'Use 1 to 32 of a-z, 0-9, dot, dash and underscore, starting with a letter.',
    'INVALID_ARGUMENT',
    400,
    { close: 4025 },
  ),
  DEVICE_INVALID: entry(
    'The device name is not valid.',
    'Use 1 to 64 of A-Z, a-z, 0-9, dot, dash and underscore.',
    'INVALID_ARGUMENT',
    400,
    { close: 4022, exit: 2 },
  ),
  PASSWORD_WEAK: entry(
    'The password does not have 8 to 128 characters.',
    'Choose a password of 8 to 128 characters.',
    'INVALID_ARGUMENT',
    400,
  ),
  PASSWORD_COMMON: entry(
    'The password is one of those that are guessed first.',
    'Choose one that is not in use elsewhere and is not the user name; several words make a good one.',
    'INVALID_ARGUMENT',
    400,
  ),
  PASSWORD_WRONG: entry(
    'The current password is wrong.',
    'Check it; it may have been changed meanwhile. An admin of the server can reset it. Who logs in by OpenID Connect has none.',
    'PERMISSION_DENIED',
    403,
  ),
  BOT_FORBIDDEN: entry(
    'Bots cannot do this, nor can it be done to a bot.',
    'Log in as the user whom the bot belongs to.',
    'PERMISSION_DENIED',
    403,
  ),
  BOTS_FULL: entry(
    'You have {max} bots, which is the most.',
    'Close one of them first: DELETE /api/v1/bots/:bot.',
    'FAILED_PRECONDITION',
    409,
  ),
  ADMIN_ONLY: entry(
    'Only admins of the server may do this.',
    'Ask one; the first is made by gochat ctl account USER --grant-admin.',
    'PERMISSION_DENIED',
    403,
  ),
  RATE_LIMITED: entry(
    'Too many requests.',
    'Wait for retry_after_ms and try again.',
    'RESOURCE_EXHAUSTED',
    429,
    { retryable: true, close: 4023 },
  ),

  // Conversations and messages.
  USER_NOT_FOUND: entry(
    'There is no user {name}.',
    'Check the spelling; POST /auth/signup creates users.',
    'NOT_FOUND',
    404,
  ),
  ROOM_NOT_FOUND: entry(
    'There is no room {name}.',
    'Check the spelling, or create it: /create ROOM or POST /api/v1/rooms. Direct conversations are not rooms: nobody leaves them or has a role in them.',
    'NOT_FOUND',
    404,
    { close: 4024 },
  ),
  NOT_A_MEMBER: entry(
    'You are not a member of this conversation.',
    'Join the room first: /join ROOM or POST /api/v1/rooms/:id/join.',
    'PERMISSION_DENIED',
    403,
  ),
  BACKUP_FAILED: entry(
    'The copy {file} could not be made or restored: {reason}.',
    'Name a file that does not exist yet (backup), or one that gochat ctl backup has made (restore).',
    'FAILED_PRECONDITION',
    409,
    { exit: 1 },
  ),
  TARGET_NOT_A_MEMBER: entry('That user is not in the room.', 'Name one of its members.', 'NOT_FOUND', 404),
  ROLE_TOO_LOW: entry(
    'Your role in the conversation does not allow this.',
    'Ask an owner of the room. Only owners give roles and delete rooms; moderators remove members, retract their messages and pin. Nobody acts on members of the same or a higher role. In a direct conversation only the author retracts.',
    'PERMISSION_DENIED',
    403,
  ),
  LAST_OWNER: entry(
    'A room needs an owner, and this one has no other member.',
    'Let somebody join first, leave the room, or delete it.',
    'FAILED_PRECONDITION',
    409,
  ),
  TEXT_TOO_LONG: entry(
    'The text is longer than {max} bytes of UTF-8.',
    'Split it into shorter messages.',
    'INVALID_ARGUMENT',
    413,
  ),
  TEXT_EMPTY: entry('The text is empty.', 'Send at least one character.', 'INVALID_ARGUMENT', 400),
  CLIENT_MSG_ID_INVALID: entry(
    'client_msg_id is not 1 to 64 bytes long.',
    'Give each message an id of its own of 1 to 64 bytes.',
    'INVALID_ARGUMENT',
    400,
  ),
  TARGET_NOT_FOUND: entry(
    'There is no such message in this conversation for you.',
    'Name a message that you can read, by its seq.',
    'NOT_FOUND',
    404,
  ),
  TARGET_EXPIRED: entry(
    'The message is no longer kept.',
    'Nothing can be said about it any more; send a message of its own.',
    'FAILED_PRECONDITION',
    410,
  ),
  TARGET_INVALID: entry(
    'The entry is not a message, so nothing can be done to it.',
    'Name the message itself, not its edit, its retraction or what the server recorded.',
    'INVALID_ARGUMENT',
    400,
  ),
  THREAD_NESTED: entry(
    'The message is a reply in a thread, which cannot have a thread of its own.',
    'Reply in the thread that it is in: name the root of that.',
    'INVALID_ARGUMENT',
    400,
  ),
  TARGET_RETRACTED: entry(
    'The message was retracted.',
    'Nothing can be said about it any more.',
    'FAILED_PRECONDITION',
    410,
  ),
  NOT_AUTHOR: entry(
    'Only its author can edit a message.',
    'Moderators may retract it; answer it, or ask its author.',
    'PERMISSION_DENIED',
    403,
  ),
  EDIT_TOO_LATE: entry(
    'The message is too old to be edited.',
    'Send the new text as a message of its own.',
    'FAILED_PRECONDITION',
    409,
  ),
  PINS_FULL: entry(
    'The conversation has {max} pinned messages.',
    'Unpin one first.',
    'RESOURCE_EXHAUSTED',
    409,
  ),
  RANGES_FULL: entry(
    'The conversation has {max} retracted ranges that are still being erased.',
    'Retract the range again in a moment, as a new entry.',
    'RESOURCE_EXHAUSTED',
    409,
  ),
  CURSOR_BEYOND_END: entry(
    'The conversation has no entry of the seq that is to be the read cursor.',
    'Name one of at most last_seq.',
    'OUT_OF_RANGE',
    422,
  ),
  CURSOR_EPOCH_OLD: entry(
    'The read cursor was moved back on another device: its epoch is greater now.',
    'Fetch the conversation, and name its read_epoch to go on, or one more to move the cursor back.',
    'FAILED_PRECONDITION',
    409,
  ),
  DISPLAY_NAME_INVALID: entry(
    'The display name is not 1 to {max} visible characters.',
    'Leave out control characters and characters that change the direction of writing, or use fewer characters.',
    'INVALID_ARGUMENT',
    400,
  ),
  WATCH_TOO_LARGE: entry(
    'A WATCH has more than {conversations} conversations or {users} users.',
    'Watch what is on the screen alone.',
    'INVALID_ARGUMENT',
    400,
  ),
  NOT_VISIBLE: entry(
    'One of the conversations or users is not there for this user.',
    'Name conversations that the user is in, and users who are in one of them.',
    'NOT_FOUND',
    404,
  ),
  SETTING_INVALID: entry(
    'The setting {name} is not {expected}.',
    'See docs/protocol.md, "One user, several devices", for the settings and their values.',
    'INVALID_ARGUMENT',
    400,
  ),
  SETTINGS_CHANGED: entry(
    'The settings have another version than the one that was named.',
    'Read them again, and change what is still to be changed.',
    'FAILED_PRECONDITION',
    412,
  ),
  DRAFTS_FULL: entry(
    'The user has {max} drafts.',
    'Send or delete a draft of another conversation first.',
    'RESOURCE_EXHAUSTED',
    409,
  ),
  MESSAGE_UNSTORABLE: entry(
    'The message store cannot store this message.',
    'Send another text; the server log has the cause.',
    'INVALID_ARGUMENT',
    400,
  ),
  ARGUMENT_INVALID: entry(
    '{what} is not valid.',
    'See docs/protocol.md or the OpenAPI page at /docs for what is accepted.',
    'INVALID_ARGUMENT',
    400,
  ),

  PRECONDITION_FAILED: entry(
    'What is there has changed since it was read.',
    'Read it again, and change what is still to be changed.',
    'FAILED_PRECONDITION',
    412,
  ),
  IDEMPOTENCY_KEY_REUSED: entry(
    'This Idempotency-Key belongs to another request.',
    'Give each request a key of its own, and repeat a request unchanged.',
    'FAILED_PRECONDITION',
    422,
  ),

  // The system.
  OVERLOADED: entry(
    'The server has more work queued than it may hold.',
    'Send the same request again after retry_after_ms.',
    'RESOURCE_EXHAUSTED',
    503,
    { retryable: true, close: 4032 },
  ),
  RESYNC_REQUIRED: entry(
    'The path to the log was interrupted.',
    'Answer RESYNC with RESYNCED, then send what is not acknowledged again.',
    'ABORTED',
    503,
    { retryable: true },
  ),
  STATE_UNAVAILABLE: entry(
    'No state server can be reached.',
    'Try again; check that gochat state runs and is registered.',
    'UNAVAILABLE',
    503,
    { retryable: true, close: 4030 },
  ),
  STORE_UNAVAILABLE: entry(
    'The message store does not answer.',
    'Try again; check the database that --store names.',
    'UNAVAILABLE',
    503,
    { retryable: true, close: 4033 },
  ),
  HOT_UNAVAILABLE: entry(
    'The hot-state server does not answer.',
    'Try again; check the Redis that --hot names.',
    'UNAVAILABLE',
    503,
    { retryable: true, close: 4034 },
  ),
  BLOBS_UNAVAILABLE: entry(
    'The file store does not answer.',
    'Try again; check the folder, or the S3 service, of the file store.',
    'UNAVAILABLE',
    503,
    { retryable: true },
  ),
  NO_GATEWAY: entry(
    'No gateway with this transport is registered.',
    'Start one (gochat gateway) and ask again after retry_after seconds.',
    'UNAVAILABLE',
    503,
    { retryable: true },
  ),
  CIRCUIT_OPEN: entry(
    'All endpoints of {what} have failed too often and are not called for a while.',
    'Try again after retry_after_ms; the logs of these servers say why they fail.',
    'UNAVAILABLE',
    503,
    { retryable: true },
  ),
  CANCELLED: entry(
    'The caller cancelled the call.',
    'Nothing is wrong; repeat the call if its answer is still wanted.',
    'CANCELLED',
    499,
    { retryable: true },
  ),
  DEADLINE_EXCEEDED: entry('The answer did not come in time.', 'Try again.', 'DEADLINE_EXCEEDED', 504, {
    retryable: true,
  }),
  ROUTE_NOT_FOUND: entry('There is no route {name}.', 'See the OpenAPI page at /docs.', 'NOT_FOUND', 404),
  METHOD_NOT_ALLOWED: entry(
    '{method} is not allowed at {name}.',
    'Use one of the methods in the Allow header.',
    'UNIMPLEMENTED',
    405,
  ),
  UPGRADE_REQUIRED: entry(
    'This port speaks WebSocket version 13 (RFC 6455).',
    'Open a WebSocket at / or /ws.',
    'FAILED_PRECONDITION',
    426,
  ),
  REQUEST_TOO_LARGE: entry(
    'The request is larger than {max} bytes.',
    'Send a smaller body, URL or headers.',
    'RESOURCE_EXHAUSTED',
    413,
  ),
  OPERATOR_ONLY: entry(
    'Only an operator may do this.',
    'Call it on the machine of the server, or send its admin token (--admin-token).',
    'PERMISSION_DENIED',
    403,
    { exit: 1 },
  ),
  MEDIA_TYPE_UNSUPPORTED: entry(
    'The content type of the body is not supported.',
    'Send Content-Type: application/json.',
    'INVALID_ARGUMENT',
    415,
  ),
  INTERNAL: entry(
    'Something went wrong inside the server.',
    'Try again; the server log has the cause.',
    'INTERNAL',
    500,
    { retryable: true, close: 4031, exit: 1 },
  ),

  // The client itself.
  CONNECTION_LOST: entry(
    'The connection to the gateway broke.',
    'Connect again; check the network if it happens again.',
    'UNAVAILABLE',
    503,
    { retryable: true },
  ),
  CLIENT_CLOSED: entry(
    'The client was closed before the server answered.',
    'Connect again and check the history: the message may have arrived.',
    'CANCELLED',
    499,
    { retryable: true },
  ),
  OUTBOX_FULL: entry(
    'More than {max} requests wait for an answer.',
    'Wait until some are answered, then go on.',
    'RESOURCE_EXHAUSTED',
    429,
    { retryable: true },
  ),
  NO_CONVERSATION: entry(
    'No conversation is open.',
    'Open one first: /dm USER or /join ROOM.',
    'FAILED_PRECONDITION',
    400,
  ),
  COMMAND_INVALID: entry(
    '{what}',
    '/help lists the commands; write // to send a text that begins with a slash.',
    'INVALID_ARGUMENT',
    400,
  ),

  INPUT_NOT_UTF8: entry(
    'Line {line} of the input is not UTF-8.',
    'Convert the input to UTF-8 (iconv does) and send the line again.',
    'INVALID_ARGUMENT',
    400,
  ),

  // Starting a process.
  USAGE: entry('{what}', 'See gochat --help.', 'INVALID_ARGUMENT', 400, { exit: 2 }),
  CONFIG_INVALID: entry(
    '{what}',
    'Correct the configuration; gochat MODE --help lists every key.',
    'INVALID_ARGUMENT',
    400,
    { exit: 78 },
  ),
  DATA_IN_USE: entry(
    '{holder} uses the data folder {folder}.',
    'Stop that process first, or use another data folder (--data-dir).',
    'FAILED_PRECONDITION',
    409,
    { exit: 1 },
  ),
  PORT_IN_USE: entry(
    'Port {port} on {host} is in use.',
    'Stop what listens there, or choose another port ({flag} N; 0 takes a free one).',
    'UNAVAILABLE',
    503,
    { exit: 1 },
  ),
  LISTEN_FAILED: entry(
    'Cannot listen on {host} port {port}: {reason}.',
    'Choose an address of this machine (--host) and a port that you are allowed to use ({flag} N).',
    'UNAVAILABLE',
    503,
    { exit: 1 },
  ),
  REGISTRY_UNREACHABLE: entry(
    'Cannot reach etcd at {url}: {reason}.',
    'Start it with scripts/start-services.sh, or run gochat up, which needs none.',
    'UNAVAILABLE',
    503,
    { exit: 1, retryable: true },
  ),
  NUMBERS_EXHAUSTED: entry(
    'All numbers from 0 to {max} for {name} are in use.',
    'Stop processes that are not needed; the number of a killed process is free again after an hour.',
    'RESOURCE_EXHAUSTED',
    503,
    { exit: 1, retryable: true },
  ),
  HOT_UNREACHABLE: entry(
    'Cannot reach Redis at {url}: {reason}.',
    'Start it with scripts/start-services.sh, or run gochat up, which needs none.',
    'UNAVAILABLE',
    503,
    { exit: 1, retryable: true },
  ),
  BLOBS_UNREACHABLE: entry(
    'Cannot use the file store at {url}: {reason}.',
    'Check that the folder is writable, or that the S3 address, bucket and credentials are right.',
    'UNAVAILABLE',
    503,
    { exit: 1, retryable: true },
  ),
  STORE_UNREACHABLE: entry(
    'Cannot open the message store at {url}: {reason}.',
    'Check the address and the database (scripts/start-services.sh starts one; gochat up needs none), or the file.',
    'UNAVAILABLE',
    503,
    { exit: 1, retryable: true },
  ),
  JWT_SECRET_CHANGED: entry(
    'The signing keys in the store are encrypted with a jwt_secret, and {how}.',
    'Give all state nodes the jwt_secret of before. Without it, stop them and delete the rows of the table signing_keys: new keys are made, and clients refresh their tokens.',
    'FAILED_PRECONDITION',
    500,
    { exit: ExitCode.CONFIG },
  ),
  STORE_SCHEMA: entry(
    'The schema of the message store at {url} does not match this version of GoChat: {reason}.',
    'Run the release that migrated it last, or a newer one; never edit a migration that has been applied.',
    'FAILED_PRECONDITION',
    500,
    { exit: 1 },
  ),
  PROTOCOL_UNSUPPORTED: entry(
    '{peer} speaks versions {client} of {method}, the server speaks versions {server}.',
    'Upgrade the older of the two; docs/operations.md, "Upgrading", says in which order.',
    'FAILED_PRECONDITION',
    500,
  ),
  SERVER_UNREACHABLE: entry(
    'Cannot reach {what} at {url}.',
    'Start the servers (make run), or name the address with {flag}.',
    'UNAVAILABLE',
    503,
    { exit: 1, retryable: true },
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof CATALOGUE;
export type ErrorDetails = Readonly<Record<string, string | number>>;

/** The names in braces in a sentence. */
type NamesIn<Sentence extends string> = Sentence extends `${string}{${infer Name}}${infer Rest}`
  ? Name | NamesIn<Rest>
  : never;
type NamesOf<Code extends ErrorCode> =
  NamesIn<`${(typeof CATALOGUE)[Code]['message']} ${(typeof CATALOGUE)[Code]['remedy']}`>;
/** The details that the sentences of a code need; for a union of codes, those of any of them. */
export type DetailsOf<Code extends ErrorCode> = Readonly<Record<NamesOf<Code>, string | number>> &
  ErrorDetails;
/** Codes whose sentences need no details. */
export type PlainErrorCode = { [Code in ErrorCode]: NamesOf<Code> extends never ? Code : never }[ErrorCode];
type DetailedErrorCode = Exclude<ErrorCode, PlainErrorCode>;
/** A code with the details that its sentences need. */
export type CodeWithDetails =
  | { readonly code: PlainErrorCode; readonly details?: ErrorDetails | undefined }
  | {
      [Code in DetailedErrorCode]: { readonly code: Code; readonly details: DetailsOf<Code> };
    }[DetailedErrorCode];

/** Returns whether a string is a code whose sentences need no details. */
export function isPlainErrorCode(code: string): code is PlainErrorCode {
  return isErrorCode(code) && !/\{\w+\}/.test(CATALOGUE[code].message + CATALOGUE[code].remedy);
}

/** Returns whether a string is a code of the catalogue. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(CATALOGUE, code);
}

/** Replaces a detail that a peer, perhaps of another version, did not send. */
const UNKNOWN = '?';

/** Returns the catalogue's sentence with the details filled in, followed by the remedy. */
export function describe({ code, details = {} }: CodeWithDetails): string {
  const { message, remedy } = CATALOGUE[code];
  const fill = (text: string) =>
    text.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? UNKNOWN));
  return `${fill(message)} ${fill(remedy)}`;
}

export interface GochatErrorOptions {
  readonly cause?: unknown;
  /** Wait before a retry, ms. */
  readonly retryAfterMs?: number;
}

/** Requires details if the code's sentences have names in them. */
type GochatErrorArguments =
  | [code: PlainErrorCode, options?: GochatErrorOptions & { readonly details?: ErrorDetails }]
  | {
      [Code in DetailedErrorCode]: [
        code: Code,
        options: GochatErrorOptions & { readonly details: DetailsOf<Code> },
      ];
    }[DetailedErrorCode];

/** An error with a code of the catalogue; its message is the catalogue's sentence and remedy. */
export class GochatError extends Error {
  override readonly name = 'GochatError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly retryAfterMs: number | undefined;

  constructor(...[code, options = {}]: GochatErrorArguments) {
    const { details = {}, cause, retryAfterMs } = options;
    super(describe({ code, details } as CodeWithDetails), cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
    this.retryAfterMs = retryAfterMs;
  }

  static of({ code, details = {} }: CodeWithDetails, options: GochatErrorOptions = {}): GochatError {
    return GochatError.received(code, { ...options, details });
  }

  /** Returns an error received from another process, with its details. */
  static received(
    code: ErrorCode,
    options: GochatErrorOptions & { readonly details?: ErrorDetails } = {},
  ): GochatError {
    return new GochatError(...([code, options] as GochatErrorArguments));
  }

  /** The code with its details. */
  get said(): CodeWithDetails {
    return { code: this.code, details: this.details } as CodeWithDetails;
  }

  get entry(): ErrorEntry {
    return CATALOGUE[this.code];
  }

  get retryable(): boolean {
    return this.entry.retryable;
  }

  /** The gRPC status of a call that fails with it. With the fields above, crpc's interface of an error. */
  get grpcStatus(): GrpcStatus {
    return this.entry.grpc;
  }

  /** Returns a GochatError as it is, a crpc error with a code of the catalogue as a GochatError, and else undefined. */
  static known(error: unknown): GochatError | undefined {
    if (error instanceof GochatError) return error;
    if (!isCoded(error) || !isErrorCode(error.code)) return undefined;
    const { code, details, retryAfterMs, cause } = error;
    return GochatError.received(code, {
      details,
      cause,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }

  /** Returns the known error, or else INTERNAL with the given error as its cause. */
  static from(error: unknown): GochatError {
    return GochatError.known(error) ?? new GochatError('INTERNAL', { cause: error });
  }
}

/** The fields of crpc's errors. */
interface CodedError extends Error {
  readonly code: string;
  readonly details: ErrorDetails;
  readonly retryAfterMs: number | undefined;
}

function isCoded(error: unknown): error is CodedError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    'grpcStatus' in error &&
    typeof error.grpcStatus === 'number'
  );
}
