/** The shapes of client.proto's messages for the JSON form; a test holds them equal to the .proto file. */
import * as client from './gen/gochat/client/v1/client.ts';
import { FrameType } from './frame.ts';

/** What a field holds; u64 travels as a decimal string, kind and change as the name of the enum's value. */
export type Scalar = 'text' | 'bool' | 'u32' | 'u64' | 'kind' | 'change';

export interface Field {
  /** Name in JSON and in the .proto file. */
  readonly name: string;
  /** Name in the generated code. */
  readonly key: string;
  readonly type: Scalar | Shape;
  readonly repeated: boolean;
}

export interface Shape {
  readonly fields: readonly Field[];
  /** Name of the oneof that the fields are the cases of. */
  readonly oneof: string | undefined;
}

/** A message that is the payload of a frame. */
export interface Payload {
  readonly shape: Shape;
  encode(message: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

type Spec = Readonly<Record<string, Scalar | Shape | readonly [Scalar | Shape]>>;

function shape(spec: Spec, oneof?: string): Shape {
  const fields = Object.entries(spec).map(([name, type]): Field => {
    const key = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    return isList(type) ? { name, key, type: type[0], repeated: true } : { name, key, type, repeated: false };
  });
  return { fields, oneof };
}

function isList(type: Spec[string]): type is readonly [Scalar | Shape] {
  return Array.isArray(type);
}

const Message = shape({
  seq: 'u64',
  id: 'u64',
  sender: 'u64',
  from: 'text',
  client_msg_id: 'text',
  text: 'text',
  at_ms: 'u64',
});
const Conversation = shape({
  id: 'u64',
  kind: 'kind',
  name: 'text',
  last_seq: 'u64',
  delivered_seq: 'u64',
  read_seq: 'u64',
  unread: 'u64',
  owner: 'bool',
});
const Receipt = shape({ conversation: 'u64', delivered_seq: 'u64', read_seq: 'u64' });
const Cursor = shape({ conversation: 'u64', seq: 'u64' });
const ConversationMessages = shape({ conversation: Conversation, messages: [Message] });
const Gone = shape({ conversation: 'u64', reason: 'change', last_seq: 'u64' });
const Member = shape({ user: 'u64', name: 'text', online: 'bool' });

/** Shapes of the payloads by the name of their message. */
export const SHAPES = {
  Hello: shape({
    version_min: 'u32',
    version_max: 'u32',
    token: 'text',
    device: 'text',
    session: 'u64',
    client: 'text',
    room: 'text',
    heartbeat_interval_ms: 'u32',
    ticket: 'text',
    run: 'u64',
    attempt: 'u32',
  }),
  Welcome: shape({
    version: 'u32',
    session: 'u64',
    user: 'u64',
    user_name: 'text',
    device: 'text',
    gateway: 'text',
    connection: 'u64',
    heartbeat_interval_ms: 'u32',
    max_frame_bytes: 'u32',
    max_text_bytes: 'u32',
    server_time_ms: 'u64',
    resumed: 'bool',
    conversation: 'u64',
  }),
  Send: shape({ client_msg_id: 'text', text: 'text' }),
  Sent: shape({ client_msg_id: 'text', seq: 'u64', id: 'u64', at_ms: 'u64', duplicate: 'bool' }),
  Nack: shape({
    code: 'text',
    message: 'text',
    retryable: 'bool',
    retry_after_ms: 'u32',
    client_msg_id: 'text',
  }),
  Message,
  Receipts: shape({ receipts: [Receipt] }),
  Request: shape(
    {
      sync: shape({ cursors: [Cursor], limit: 'u32', pushed: [Cursor] }),
      open_direct: shape({ user_name: 'text' }),
      create_room: shape({ name: 'text', hide_history: 'bool' }),
      join_room: shape({ room: 'text' }),
      list_conversations: shape({}),
      get_history: shape({ before_seq: 'u64', limit: 'u32' }),
      get_members: shape({}),
      leave_room: shape({}),
      remove_member: shape({ user: 'text' }),
      delete_room: shape({}),
    },
    'call',
  ),
  Response: shape(
    {
      sync: shape({ conversations: [ConversationMessages], more: 'bool', gone: [Gone] }),
      conversation: Conversation,
      conversations: shape({ conversations: [Conversation] }),
      history: shape({ messages: [Message], more: 'bool' }),
      members: shape({ members: [Member] }),
      done: shape({}),
    },
    'result',
  ),
  Typing: shape({ user: 'u64', name: 'text', stopped: 'bool' }),
  MembersChanged: shape({ change: 'change', user: 'u64', name: 'text', by: 'text', after_seq: 'u64' }),
  Close: shape({
    code: 'text',
    reason: 'text',
    retryable: 'bool',
    retry_after_ms: 'u32',
    elsewhere: shape({ host: 'text', port: 'u32', ws_port: 'u32', tls: 'bool' }),
  }),
} as const satisfies Record<string, Shape>;

interface Codec {
  encode(message: never): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
}

function payload(shape: Shape, codec: Codec): Payload {
  return {
    shape,
    encode: (message) => codec.encode(message as never).finish(),
    decode: (bytes) => codec.decode(bytes),
  };
}

/** Payloads by frame type; the other types have none. */
export const PAYLOADS: Readonly<Record<number, Payload>> = {
  [FrameType.HELLO]: payload(SHAPES.Hello, client.Hello),
  [FrameType.WELCOME]: payload(SHAPES.Welcome, client.Welcome),
  [FrameType.SEND]: payload(SHAPES.Send, client.Send),
  [FrameType.SENT]: payload(SHAPES.Sent, client.Sent),
  [FrameType.NACK]: payload(SHAPES.Nack, client.Nack),
  [FrameType.MESSAGE]: payload(SHAPES.Message, client.Message),
  [FrameType.RECEIPTS]: payload(SHAPES.Receipts, client.Receipts),
  [FrameType.REQUEST]: payload(SHAPES.Request, client.Request),
  [FrameType.RESPONSE]: payload(SHAPES.Response, client.Response),
  [FrameType.TYPING]: payload(SHAPES.Typing, client.Typing),
  [FrameType.CLOSE]: payload(SHAPES.Close, client.Close),
  [FrameType.MEMBERS_CHANGED]: payload(SHAPES.MembersChanged, client.MembersChanged),
};

/** Names of the enums' values, by number. */
export const ENUMS = {
  kind: Object.keys(client.ConversationKind),
  change: Object.keys(client.MemberChange),
} as const satisfies Record<string, readonly string[]>;
