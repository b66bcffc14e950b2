/** The shapes of the payloads for the JSON form, from the generated table. */
import * as client from './gen/gochat/client/v2/client.ts';
import { ENUMS, MESSAGES } from './gen/json-shapes.ts';
import { FrameType } from './frame.ts';

/** Type of a field. In JSON a uint64 is a decimal string, an enum the name of its value. */
export type FieldType = Scalar | Enum | Shape;
export type Scalar = 'string' | 'bool' | 'uint32' | 'uint64';

export interface Enum {
  readonly kind: 'enum';
  readonly name: string;
  /** Names of the values, by number. */
  readonly values: readonly string[];
}

export interface Field {
  /** Name in JSON and in the .proto file. */
  readonly name: string;
  /** Name in the generated code. */
  readonly key: string;
  readonly type: FieldType;
  readonly repeated: boolean;
}

export interface Shape {
  readonly kind: 'message';
  readonly fields: readonly Field[];
  /** Name of the oneof whose cases the fields are. */
  readonly oneof: string | undefined;
}

/** The payload of a frame type. */
export interface Payload {
  readonly shape: Shape;
  encode(message: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

interface Codec {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
}

type MessageTable = Readonly<
  Record<string, { readonly oneof?: string; readonly fields: Readonly<Record<string, string>> }>
>;

const LIST = '[]';
const messages: MessageTable = MESSAGES;
const enums: Readonly<Record<string, readonly string[]>> = ENUMS;
const codecs = client as unknown as Readonly<Record<string, Codec>>;
const shapes = new Map<string, Shape>();

/** Payloads by frame type: MEMBERS_CHANGED carries MembersChanged. A type without a message of its name has none. */
export const PAYLOADS: Readonly<Record<number, Payload>> = Object.fromEntries(
  Object.entries(FrameType).flatMap(([name, type]) => {
    const message = camel(`_${name.toLowerCase()}`);
    const codec = codecs[message];
    if (messages[message] === undefined || codec === undefined) return [];
    const payload: Payload = {
      shape: shapeOf(message),
      encode: (value) => codec.encode(value).finish(),
      decode: (bytes) => codec.decode(bytes),
    };
    return [[type, payload]];
  }),
);

function shapeOf(message: string): Shape {
  const known = shapes.get(message);
  if (known !== undefined) return known;
  const { oneof, fields } = messages[message] as MessageTable[string];
  const shape: Shape = {
    kind: 'message',
    oneof,
    fields: Object.entries(fields).map(([name, text]) => {
      const repeated = text.endsWith(LIST);
      const type = typeOf(repeated ? text.slice(0, -LIST.length) : text);
      return { name, key: camel(name), type, repeated };
    }),
  };
  shapes.set(message, shape);
  return shape;
}

function typeOf(name: string): FieldType {
  if (messages[name] !== undefined) return shapeOf(name);
  const values = enums[name];
  return values === undefined ? (name as Scalar) : { kind: 'enum', name, values };
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
