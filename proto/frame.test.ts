import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as protocol from './client.ts';
import {
  decodeHeader,
  encodeFrame,
  type FrameFault,
  FrameParser,
  framePayload,
  frameRef,
  FrameType,
  frameType,
  HEADER_BYTES,
  MIN_FRAME_BYTES,
} from './client.ts';
import { MESSAGES } from './gen/json-shapes.ts';

const MAX = 262_144;
const MUTATIONS = 100_000;

interface FrameVector {
  readonly name: string;
  readonly type: keyof typeof FrameType;
  readonly ref: number;
  readonly key: string;
  readonly message: string | null;
  /** The payload in proto's JSON form with the field names of the .proto file. */
  readonly payload: Json | null;
  readonly hex: string;
}

interface StreamVector {
  readonly name: string;
  readonly max_frame_bytes: number;
  readonly hex: string;
  readonly frames: readonly string[];
  readonly fault: FrameFault | null;
  readonly pending_bytes: number | null;
}

type Json = { readonly [field: string]: unknown };

interface Codec {
  encode(value: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
  fromPartial(fields: unknown): unknown;
}

function readVectors(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`vectors/${file}`, import.meta.url), 'utf8'));
}

const frameVectors = readVectors('frames.json') as readonly FrameVector[];
const streamVectors = readVectors('streams.json') as readonly StreamVector[];

const codecs = protocol as unknown as Record<string, Codec>;
/** The message's oneof, whose cases stand directly in proto's JSON form. */
const ONEOFS: Record<string, string> = { Request: 'call', Response: 'result' };

function toFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toFields);
  if (typeof value === 'string') return numberOf(value) ?? value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      const fields = toFields(field);
      return [toCamel(name), name === 'at' ? toOneof('point', fields as Json) : fields];
    }),
  );
}

function toOneof(oneof: string, fields: Json): Json {
  const [$case = ''] = Object.keys(fields);
  return { [oneof]: { $case, [$case]: fields[$case] } };
}

/** Returns the number of an enum's value. */
function numberOf(name: string): number | undefined {
  const values: Record<string, number> = {
    ...protocol.ConversationKind,
    ...protocol.MemberChange,
    ...protocol.Role,
    ...protocol.EntryKind,
    ...protocol.SystemEvent,
    ...protocol.PresenceStatus,
    ...protocol.AccountState,
    ...protocol.AccountChange,
  };
  return values[name];
}

function toCamel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function fromVector(message: string, payload: Json): unknown {
  const codec = codecs[message] as Codec;
  const fields = toFields(payload) as Record<string, unknown>;
  const oneof = ONEOFS[message];
  return codec.fromPartial(oneof === undefined ? fields : toOneof(oneof, fields));
}

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');

/** Runs a parser over chunks; frames are copied, as the chunks could be used again. */
function parse(chunks: readonly Uint8Array[], max = MAX) {
  const parser = new FrameParser(max);
  const frames: string[] = [];
  let fault: FrameFault | undefined;
  for (const chunk of chunks) {
    fault = parser.push(chunk, (frame) => {
      frames.push(hex(frame));
      return true;
    });
    if (fault !== undefined) break;
  }
  return { frames, fault, parser };
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Cuts bytes into chunks at offsets. */
function cut(data: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const at = [
    0,
    ...offsets.map((offset) => offset % (data.length + 1)).toSorted((a, b) => a - b),
    data.length,
  ];
  return at.slice(1).map((end, i) => data.slice(at[i], end));
}

const someFrame = fc
  .record({
    type: fc.integer({ min: 0, max: 255 }),
    ref: fc.integer({ min: 0, max: 0xffff }),
    key: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    payload: fc.uint8Array({ maxLength: 300 }),
  })
  .map(({ type, ref, key, payload }) => encodeFrame(type as FrameType, ref, key, payload));

describe('golden vectors', () => {
  test.each(frameVectors)('$name: encodes to its bytes and decodes to its fields', (vector) => {
    const { type, ref, key, message, payload } = vector;
    const value = message === null ? undefined : fromVector(message, payload as Json);
    const body = message === null ? undefined : codecs[message]?.encode(value).finish();
    expect(hex(encodeFrame(FrameType[type], ref, BigInt(key), body))).toBe(vector.hex);

    const frame = bytes(vector.hex);
    expect(decodeHeader(frame)).toEqual({ type: FrameType[type], flags: 0, ref, key: BigInt(key) });
    expect(frameType(frame)).toBe(FrameType[type]);
    expect(frameRef(frame)).toBe(ref);
    if (message === null) expect(framePayload(frame)).toHaveLength(0);
    else expect(codecs[message]?.decode(framePayload(frame))).toEqual(value);
  });

  test('coverage: every frame type, every call and every result', () => {
    expect(new Set(frameVectors.map(({ type }) => type))).toEqual(new Set(Object.keys(FrameType)));
    const cases = (message: string) =>
      new Set(
        frameVectors.filter((v) => v.message === message).map(({ payload }) => Object.keys(payload ?? {})[0]),
      );
    expect(cases('Request')).toEqual(new Set(Object.keys(MESSAGES.Request.fields)));
    expect(cases('Response')).toEqual(new Set(Object.keys(MESSAGES.Response.fields)));
    const kinds = (message: string) =>
      new Set(
        frameVectors.filter((v) => v.message === message).map(({ payload }) => payload?.['kind'] ?? DEFAULT),
      );
    const [DEFAULT, ...others] = Object.keys(protocol.EntryKind);
    expect(kinds('Send')).toEqual(
      new Set([DEFAULT, ...others.filter((kind) => kind !== 'ENTRY_KIND_SYSTEM')]),
    );
    expect(kinds('Message')).toEqual(new Set([DEFAULT, ...others]));
  });

  test.each(streamVectors)('$name: the stream is cut as the vector says', (vector) => {
    const data = bytes(vector.hex);
    for (const chunks of [[data], Array.from(data, (byte) => Uint8Array.of(byte))]) {
      const { frames, fault, parser } = parse(chunks, vector.max_frame_bytes);
      expect(frames).toEqual(vector.frames);
      expect(fault ?? null).toBe(vector.fault);
      if (vector.pending_bytes !== null) expect(parser.pendingBytes).toBe(vector.pending_bytes);
    }
  });

  test('docs/protocol.md: shows each vector as it is', () => {
    const page = readFileSync(new URL('../docs/protocol.md', import.meta.url), 'utf8');
    const missing = frameVectors.filter((vector) => !page.includes(vector.hex)).map(({ name }) => name);
    expect(missing).toEqual([]);
    const shown = [...page.matchAll(/`([0-9a-f]{32,})`/g)].map(([, text]) => text);
    const known = new Set([...frameVectors, ...streamVectors].map((vector) => vector.hex));
    expect(shown.filter((text) => !known.has(text as string))).toEqual([]);
    for (const name of Object.keys(FrameType)) expect(page).toMatch(new RegExp(`\\b${name}\\b`));
  });
});

describe('FrameParser', () => {
  test('split: every offset of every vector gives the same frames', () => {
    const whole = concat(frameVectors.map((vector) => bytes(vector.hex)));
    const expected = frameVectors.map((vector) => vector.hex);
    for (let offset = 0; offset <= whole.length; offset++) {
      const { frames, fault, parser } = parse([whole.slice(0, offset), whole.slice(offset)]);
      expect(frames).toEqual(expected);
      expect(fault).toBeUndefined();
      expect(parser.pendingBytes).toBe(0);
    }
  });

  test('split: byte by byte gives the same frames', () => {
    const whole = concat(frameVectors.map((vector) => bytes(vector.hex)));
    const { frames } = parse(Array.from(whole, (byte) => Uint8Array.of(byte)));
    expect(frames).toEqual(frameVectors.map((vector) => vector.hex));
  });

  test('property: any frames in any chunks come out as they went in', () => {
    const scenario = fc.tuple(fc.array(someFrame, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 30 }));
    fc.assert(
      fc.property(scenario, ([frames, offsets]) => {
        const parsed = parse(cut(concat(frames), offsets));
        expect(parsed.frames).toEqual(frames.map(hex));
        expect(parsed.fault).toBeUndefined();
        expect(parsed.parser.pendingBytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test('property: header and payload survive a round trip', () => {
    const fields = fc.tuple(
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
      fc.uint8Array({ maxLength: 100 }),
    );
    fc.assert(
      fc.property(fields, ([type, ref, key, payload]) => {
        const frame = encodeFrame(type as FrameType, ref, key, payload);
        expect(decodeHeader(frame)).toEqual({ type, flags: 0, ref, key });
        expect(framePayload(frame)).toEqual(payload);
      }),
    );
  });

  test('no copy: a frame that is whole within a chunk is a view of it', () => {
    fc.assert(
      fc.property(fc.array(someFrame, { minLength: 1, maxLength: 10 }), (frames) => {
        const chunk = concat(frames);
        let at = 0;
        new FrameParser(MAX).push(chunk, (frame) => {
          expect(frame.buffer).toBe(chunk.buffer);
          expect(frame.byteOffset).toBe(at);
          at += frame.length;
          return true;
        });
        expect(at).toBe(chunk.length);
      }),
    );
  });

  test('no copy: also after a frame that was assembled from chunks', () => {
    const [first, second] = [encodeFrame(FrameType.PING, 1, 0n), encodeFrame(FrameType.PING, 2, 0n)];
    const chunk = concat([first.subarray(3), second]);
    const parser = new FrameParser(MAX);
    const buffers: unknown[] = [];
    const collect = (frame: Uint8Array) => buffers.push(frame.buffer) > 0;
    parser.push(first.slice(0, 3), collect);
    parser.push(chunk, collect);
    expect(buffers).toHaveLength(2);
    expect(buffers[0]).not.toBe(chunk.buffer);
    expect(buffers[1]).toBe(chunk.buffer);
  });

  test('memory: an announced length costs nothing until its bytes arrive', () => {
    const parser = new FrameParser(0xffff_ffff);
    parser.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 2, 3), () => true);
    expect(parser.pendingBytes).toBe(7);
  });

  test.each([
    [MIN_FRAME_BYTES - 1, 'FRAME_TOO_SHORT'],
    [0, 'FRAME_TOO_SHORT'],
    [MAX + 1, 'FRAME_TOO_LARGE'],
    [0xffff_ffff, 'FRAME_TOO_LARGE'],
  ])('length %i: %s, at once and at every split of the length field', (length, fault) => {
    const header = new Uint8Array(4);
    new DataView(header.buffer).setUint32(0, length);
    const before = encodeFrame(FrameType.PING, 1, 0n);
    for (let offset = 0; offset <= 4; offset++) {
      const parsed = parse([before, header.slice(0, offset), header.slice(offset)]);
      expect(parsed).toMatchObject({ frames: [hex(before)], fault });
    }
  });

  test('maxFrameBytes: may be raised between pushes; a frame of exactly that size is accepted', () => {
    const frame = encodeFrame(FrameType.SEND, 1, 1n, new Uint8Array(100));
    const max = frame.length - 4;
    expect(parse([frame], max).frames).toEqual([hex(frame)]);
    expect(parse([frame], max - 1).fault).toBe('FRAME_TOO_LARGE');
    const parser = new FrameParser(MIN_FRAME_BYTES);
    let count = 0;
    const onFrame = () => ++count > 0;
    expect(parser.push(encodeFrame(FrameType.PING, 1, 0n), onFrame)).toBeUndefined();
    parser.maxFrameBytes = max;
    expect(parser.push(frame, onFrame)).toBeUndefined();
    expect(count).toBe(2);
  });

  test('onFrame: returning false drops the rest of the chunk', () => {
    const frame = encodeFrame(FrameType.PING, 1, 0n);
    const parser = new FrameParser(MAX);
    let count = 0;
    const stop = () => {
      count++;
      return false;
    };
    parser.push(concat([frame, frame, frame]), stop);
    expect(count).toBe(1);
    const gathering = new FrameParser(MAX);
    gathering.push(frame.slice(0, 5), stop);
    gathering.push(concat([frame.slice(5), frame]), stop);
    expect(count).toBe(2);
  });

  test(`garbage: ${MUTATIONS.toLocaleString('en')} mutated inputs in random chunks never throw and lose no byte`, () => {
    const seeds = frameVectors.map((vector) => bytes(vector.hex));
    const random = mulberry32(20_260_101);
    const below = (n: number) => Math.floor(random() * n);
    for (let i = 0; i < MUTATIONS; i++) {
      const data = concat([seeds[below(seeds.length)], seeds[below(seeds.length)]] as Uint8Array[]);
      for (let n = 1 + below(4); n > 0; n--) data[below(data.length)] = below(256);
      const input = data.subarray(0, data.length - below(3));
      const offset = below(input.length);
      const parser = new FrameParser(1 + below(2_000));
      let taken = 0;
      const onFrame = (frame: Uint8Array) => {
        taken += frame.length;
        if (frame.length < HEADER_BYTES || frame.length - 4 > parser.maxFrameBytes)
          throw new Error('bad frame');
        return true;
      };
      const fault = parser.push(input.slice(0, offset), onFrame) ?? parser.push(input.slice(offset), onFrame);
      if (fault === undefined && taken + parser.pendingBytes !== input.length) throw new Error('bytes lost');
    }
  });

  test('garbage: mutated payloads decode or throw an Error, nothing else', () => {
    const random = mulberry32(7);
    for (const { message, hex: text } of frameVectors) {
      if (message === null) continue;
      for (let i = 0; i < 500; i++) {
        const payload = framePayload(bytes(text));
        payload[Math.floor(random() * payload.length)] = Math.floor(random() * 256);
        try {
          codecs[message]?.decode(payload);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }
    }
  });
});

/** A small seeded generator, https://gist.github.com/tommyettinger/46a874533244883189143505d203312c. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
