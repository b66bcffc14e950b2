/** The JSON form of a frame: one object with the fields of header and payload. Pure; docs/protocol.md specifies it. */
import { decodeHeader, encodeFrame, framePayload, FrameType } from './frame.ts';
import { type Field, type FieldType, PAYLOADS, type Shape } from './json-shape.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** Why a text is not a frame, with what identifies it as far as that could be read. */
export interface JsonFault {
  readonly code: 'JSON_INVALID' | 'FRAME_UNKNOWN';
  /** What is wrong and where, for people. */
  readonly what: string;
  readonly ref: number;
  readonly key: bigint;
  /** Of a SEND; else empty. */
  readonly clientMsgId: string;
}

const TYPES = new Map<string, FrameType>(Object.entries(FrameType));
const NAMES = new Map<number, string>([...TYPES].map(([name, type]) => [type, name]));
const MAX_U16 = 0xffff;
const MAX_U32 = 0xffff_ffff;
const MAX_U64 = 0xffff_ffff_ffff_ffffn;
const DECIMAL = /^(0|[1-9]\d{0,19})$/;
/** Fields of SEND that are kept for later, by number. */
const KEPT_FIELDS = [
  ['attachments', 10],
  ['ciphertext', 11],
  ['reactions', 12],
] as const;
/** Most characters of the sender's text that a fault quotes. */
const MAX_QUOTE = 40;
/** Longest client_msg_id, in characters. */
const MAX_ID = 64;

/**
 * Encodes a frame as JSON: `type`, `ref` and `key` unless 0, and every field of the payload.
 *
 * A frame of an unknown type has its number as `type` and no payload.
 *
 * @throws Error when the payload does not parse
 */
export function frameToJson(frame: Uint8Array): string {
  const { type, ref, key } = decodeHeader(frame);
  const json: Record<string, unknown> = { type: NAMES.get(type) ?? type };
  if (ref !== 0) json['ref'] = ref;
  if (key !== 0n) json['key'] = String(key);
  const payload = PAYLOADS[type];
  if (payload) writeMessage(payload.shape, payload.decode(framePayload(frame)) as JsonObject, json);
  return JSON.stringify(json);
}

/**
 * Decodes a frame from its JSON form. Missing fields get their default, unknown ones are ignored. Fields of SEND that are
 * kept for later go on.
 */
export function frameFromJson(text: string): Uint8Array | JsonFault {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return fault('JSON_INVALID', error instanceof Error ? error.message : 'it does not parse');
  }
  if (!isObject(json)) return fault('JSON_INVALID', 'it is not an object');
  const reader = new Reader();
  const ref = (reader.read('uint32', json['ref'], 'ref') ?? 0) as number;
  const key = (reader.read('uint64', json['key'], 'key') ?? 0n) as bigint;
  if (ref > MAX_U16) reader.fail('ref', `a number up to ${MAX_U16}`);
  if (reader.fault !== undefined) return fault('JSON_INVALID', reader.fault);
  const name = json['type'];
  if (typeof name !== 'string') return fault('JSON_INVALID', 'type is not a string', ref, key);
  const type = TYPES.get(name);
  if (type === undefined) return fault('FRAME_UNKNOWN', name.slice(0, MAX_QUOTE), ref, key);
  const payload = PAYLOADS[type];
  if (payload === undefined) return encodeFrame(type, ref, key);
  const message = reader.readMessage(payload.shape, json, '');
  if (reader.fault === undefined) {
    const bytes = payload.encode(message);
    return encodeFrame(type, ref, key, type === FrameType.SEND ? withKept(bytes, json) : bytes);
  }
  return fault('JSON_INVALID', reader.fault, ref, key, type === FrameType.SEND ? json['client_msg_id'] : '');
}

/** Adds a kept field that is given, without its value: the receiver refuses it whatever that is. */
function withKept(payload: Uint8Array, json: JsonObject): Uint8Array {
  const given = KEPT_FIELDS.find(([name]) => json[name] !== undefined && json[name] !== null);
  return given === undefined ? payload : Uint8Array.from([...payload, given[1] << 3, 0]);
}

function fault(
  code: JsonFault['code'],
  what: string,
  ref = 0,
  key = 0n,
  clientMsgId: unknown = '',
): JsonFault {
  const isId = typeof clientMsgId === 'string' && clientMsgId.length <= MAX_ID && clientMsgId.isWellFormed();
  return { code, what, ref, key, clientMsgId: isId ? clientMsgId : '' };
}

function writeMessage(shape: Shape, message: JsonObject, into: Record<string, unknown>): void {
  if (shape.oneof !== undefined) {
    const set = message[shape.oneof] as JsonObject | undefined;
    const field = shape.fields.find(({ key }) => key === set?.['$case']);
    if (field && set) into[field.name] = writeValue(field.type, set[field.key]);
    return;
  }
  for (const { name, key, type, repeated } of shape.fields) {
    const value = message[key];
    if (repeated) into[name] = (value as readonly unknown[]).map((item) => writeValue(type, item));
    else if (value !== undefined) into[name] = writeValue(type, value);
  }
}

function writeValue(type: FieldType, value: unknown): unknown {
  if (type === 'uint64') return String(value);
  if (typeof type === 'string') return value;
  if (type.kind === 'enum') return type.values[value as number] ?? value;
  const json: Record<string, unknown> = {};
  writeMessage(type, value as JsonObject, json);
  return json;
}

/** Reads values and records the first fault, so that nothing is thrown per frame. */
class Reader {
  fault: string | undefined;

  fail(path: string, expected: string): undefined {
    this.fault ??= `${path} is not ${expected}`;
    return undefined;
  }

  readMessage(shape: Shape, json: JsonObject, path: string): JsonObject {
    const message: Record<string, unknown> = {};
    for (const field of shape.fields) {
      const at = path + field.name;
      const given = json[field.name];
      if (shape.oneof === undefined) {
        message[field.key] = field.repeated
          ? this.#readList(field, given, at)
          : this.#readField(field, given, at);
      } else if (given !== undefined && given !== null) {
        if (message[shape.oneof] !== undefined)
          this.fail(at, `alone: there is one ${shape.oneof} in a frame`);
        message[shape.oneof] = { $case: field.key, [field.key]: this.read(field.type, given, at) };
      }
    }
    if (shape.oneof !== undefined && message[shape.oneof] === undefined && this.fault === undefined)
      this.fault = `there is none of ${shape.fields.map(({ name }) => name).join(', ')}`;
    return message;
  }

  /** Returns a value; undefined if it is missing or invalid. */
  read(type: FieldType, value: unknown, path: string): unknown {
    if (value === undefined || value === null) return undefined;
    switch (type) {
      case 'string':
        return typeof value === 'string' && value.isWellFormed()
          ? value
          : this.fail(path, 'a string of Unicode');
      case 'bool':
        return typeof value === 'boolean' ? value : this.fail(path, 'true or false');
      case 'uint32':
        return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_U32
          ? value
          : this.fail(path, 'a whole number of 32 bits');
      case 'uint64':
        return readU64(value) ?? this.fail(path, 'a decimal string of 64 bits');
    }
    if (type.kind === 'enum') {
      const number = type.values.indexOf(value as string);
      return number >= 0 ? number : this.fail(path, `one of ${type.values.join(', ')}`);
    }
    return isObject(value) ? this.readMessage(type, value, `${path}.`) : this.fail(path, 'an object');
  }

  #readField({ type }: Field, value: unknown, path: string): unknown {
    return this.read(type, value, path) ?? defaultOf(type);
  }

  #readList({ type }: Field, value: unknown, path: string): readonly unknown[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) return this.fail(path, 'a list') ?? [];
    const list: unknown[] = [];
    for (const [i, item] of value.entries()) {
      list.push(this.read(type, item, `${path}[${i}]`) ?? this.fail(`${path}[${i}]`, 'there'));
      if (this.fault !== undefined) break;
    }
    return list;
  }
}

function readU64(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;
  if (typeof value !== 'string' || !DECIMAL.test(value)) return undefined;
  const number = BigInt(value);
  return number <= MAX_U64 ? number : undefined;
}

function defaultOf(type: FieldType): unknown {
  switch (type) {
    case 'string':
      return '';
    case 'bool':
      return false;
    case 'uint32':
      return 0;
    case 'uint64':
      return 0n;
    default:
      return type.kind === 'enum' ? 0 : undefined;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
