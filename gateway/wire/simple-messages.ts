/** The simple forms of the WebSocket: what a client without frames says and is told. docs/protocol.md, "Simple forms". */
/** A client's message. Without a room_id it is about the room that was joined last. */
export type ClientMessage =
  | { readonly type: 'auth'; readonly token: string }
  | { readonly type: 'join'; readonly room: string }
  | { readonly type: 'message'; readonly content: string; readonly roomId?: bigint | undefined }
  | { readonly type: 'typing'; readonly roomId?: bigint | undefined }
  | { readonly type: 'read'; readonly seq: number; readonly roomId?: bigint | undefined }
  | { readonly type: 'leave'; readonly roomId?: bigint | undefined };

const MAX_ID = 2n ** 64n - 1n;
const DECIMAL_ID = /^[1-9][0-9]{0,19}$/;
const MAX_NAME = 64;

/** Returns whether a text is a 64-bit id in decimal. */
export function isId(text: string): boolean {
  return DECIMAL_ID.test(text) && BigInt(text) <= MAX_ID;
}

/** What is wrong with a message. */
class Fault extends Error {}

type Json = Readonly<Record<string, unknown>>;

/** Reads a client's message; returns what is wrong with one that is none. */
export function parseMessage(text: string): ClientMessage | string {
  try {
    return read(JSON.parse(text));
  } catch (error) {
    return error instanceof Fault ? error.message : 'it does not parse';
  }
}

function read(json: unknown): ClientMessage {
  if (typeof json !== 'object' || json === null) throw new Fault('it is not an object');
  const message = json as Json;
  switch (message['type']) {
    case 'auth':
      return { type: 'auth', token: textOf(message, 'token') };
    case 'join_room':
    case 'join':
      return { type: 'join', room: nameOf(message) };
    case 'send_message':
    case 'message':
      return { type: 'message', content: textOf(message, 'content'), roomId: roomOf(message) };
    case 'typing':
      return { type: 'typing', roomId: roomOf(message) };
    case 'read':
      return { type: 'read', seq: seqOf(message), roomId: roomOf(message) };
    case 'leave_room':
    case 'leave':
      return { type: 'leave', roomId: roomOf(message) };
    default:
      throw new Fault('type is none of auth, join, message, typing, read and leave');
  }
}

function textOf(message: Json, name: string): string {
  const value = message[name];
  if (typeof value !== 'string') throw new Fault(`${name} is not a text`);
  return value;
}

/** Ids are texts; a number is taken too, as far as JSON keeps its digits. Empty: it is neither. */
function idText(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : '';
}

function roomOf({ room_id: id }: Json): bigint | undefined {
  if (id === undefined || id === null) return undefined;
  const text = idText(id);
  if (!isId(text)) throw new Fault('room_id is not an id');
  return BigInt(text);
}

/** A room that is joined may be named too. */
function nameOf({ room_id: room }: Json): string {
  const text = idText(room);
  if (text === '' || text.length > MAX_NAME) throw new Fault('room_id is not the id or name of a room');
  return text;
}

function seqOf({ message_id: seq }: Json): number {
  if (!Number.isSafeInteger(seq) || (seq as number) < 1)
    throw new Fault('message_id is not the seq of a message');
  return seq as number;
}

/** What happened in a room. */
export interface RoomNews {
  readonly type: 'message' | 'typing' | 'read' | 'join' | 'leave';
  readonly user_id: string;
  /** The display name; empty where it is not known. */
  readonly user_name: string;
  readonly room_id: string;
  /** The text of a message, else empty. */
  readonly content: string;
  /** Seq of a message, or of the last one that the user has read. */
  readonly message_id?: number;
  /** ISO 8601. */
  readonly timestamp: string;
}

export type ServerMessage =
  | RoomNews
  | { readonly type: 'auth'; readonly user_id: string; readonly user_name: string }
  /** The message is in the log. */
  | {
      readonly type: 'sent';
      readonly room_id: string;
      readonly message_id: number;
      readonly timestamp: string;
    }
  | { readonly type: 'error'; readonly code: string; readonly message: string };
