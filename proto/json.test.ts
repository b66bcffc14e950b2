import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { client, encodeFrame, frameFromJson, FrameType, frameToJson, type JsonFault } from './mod.ts';

interface Vectors {
  readonly frames: readonly { readonly name: string; readonly json: object }[];
  readonly same: readonly { readonly name: string; readonly text: string; readonly frame: string }[];
  readonly faults: readonly {
    readonly name: string;
    readonly text: string;
    readonly code: string;
    readonly ref: number;
    readonly key: string;
    readonly client_msg_id?: string;
  }[];
}

function read(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`vectors/${file}`, import.meta.url), 'utf8'));
}

const vectors = read('json.json') as Vectors;
const frames = new Map(
  (read('frames.json') as { name: string; hex: string }[]).map(({ name, hex }) => [name, hex]),
);
const MUTATIONS = 100_000;

const bytes = (hex: string | undefined) => new Uint8Array(Buffer.from(hex ?? '', 'hex'));
const hex = (frame: Uint8Array | JsonFault) =>
  frame instanceof Uint8Array ? Buffer.from(frame).toString('hex') : `${frame.code}: ${frame.what}`;

describe('golden vectors', () => {
  test.each(vectors.frames)('$name: to JSON and back', ({ name, json }) => {
    expect(JSON.parse(frameToJson(bytes(frames.get(name))))).toEqual(json);
    expect(hex(frameFromJson(JSON.stringify(json)))).toBe(frames.get(name));
  });

  test('coverage: every frame', () => {
    expect(vectors.frames.map(({ name }) => name)).toEqual([...frames.keys()]);
  });

  test.each(vectors.same)('$name: the same frame', ({ text, frame }) => {
    expect(hex(frameFromJson(text))).toBe(frames.get(frame));
  });

  test.each(vectors.faults)('$name: $code', ({ text, code, ref, key, client_msg_id: clientMsgId = '' }) => {
    expect(frameFromJson(text)).toMatchObject({ code, ref, key: BigInt(key), clientMsgId });
  });
});

describe('frameToJson', () => {
  test('a type of a newer server: its number, without the payload', () => {
    const frame = encodeFrame(99 as FrameType, 3, 5n, Uint8Array.of(1, 2, 3));
    expect(frameToJson(frame)).toBe('{"type":99,"ref":3,"key":"5"}');
  });

  test('an entry of a kind of a newer server: its number', () => {
    const payload = client.Message.encode(
      client.Message.fromPartial({ seq: 1n, kind: 9 as client.EntryKind }),
    );
    expect(JSON.parse(frameToJson(encodeFrame(FrameType.MESSAGE, 0, 1n, payload.finish())))).toMatchObject({
      seq: '1',
      kind: 9,
    });
  });

  test('a payload that does not parse: throws', () => {
    expect(() => frameToJson(encodeFrame(FrameType.MESSAGE, 0, 1n, Uint8Array.of(0xff)))).toThrow();
  });
});

describe('frameFromJson', () => {
  test('a fault: names the problem and the place', () => {
    const text = '{"type":"RECEIPTS","receipts":[{"conversation":"5"},{"conversation":"x"}]}';
    expect(frameFromJson(text)).toMatchObject({
      what: 'receipts[1].conversation is not a decimal string of 64 bits',
    });
    expect(frameFromJson('{"type":"SEND","kind":"EDIT"}')).toMatchObject({
      what: expect.stringMatching(/^kind is not one of ENTRY_KIND_MESSAGE, ENTRY_KIND_EDIT, /) as string,
    });
    expect(frameFromJson(`{"type":"${'X'.repeat(1000)}"}`)).toMatchObject({ what: 'X'.repeat(40) });
  });

  test('depth: a text of nothing but brackets is refused like any other', () => {
    const depth = 100_000;
    expect(frameFromJson('['.repeat(depth) + ']'.repeat(depth))).toMatchObject({ code: 'JSON_INVALID' });
    expect(frameFromJson(`{"type":"PING","x":${'['.repeat(depth)}${']'.repeat(depth)}}`)).toBeInstanceOf(
      Uint8Array,
    );
  });

  test('property: any text in SEND survives a round trip', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.bigInt({ min: 1n, max: 0xffff_ffff_ffff_ffffn }),
        (text, key) => {
          const json = { type: 'SEND', ref: 1, key: String(key), client_msg_id: 'a', text };
          const frame = frameFromJson(JSON.stringify(json));
          expect(JSON.parse(frameToJson(frame as Uint8Array))).toMatchObject(json);
        },
      ),
    );
  });

  test(`garbage: ${MUTATIONS.toLocaleString('en')} mutated texts give a frame or a fault, and what is a frame reads back`, () => {
    const seeds = [
      ...vectors.frames.map(({ json }) => JSON.stringify(json)),
      ...vectors.same.map(({ text }) => text),
    ];
    const alphabet = '{}[]",:\\0123456789-.eEnulltruefalse \u0000é\ud83d';
    let state = 7;
    const below = (n: number) => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % n;
    let taken = 0;
    for (let i = 0; i < MUTATIONS; i++) {
      let text = seeds[below(seeds.length)] as string;
      for (let n = 1 + below(3); n > 0; n--) {
        const at = below(text.length + 1);
        const cut = below(3);
        text =
          text.slice(0, at) + (below(2) === 0 ? '' : alphabet[below(alphabet.length)]) + text.slice(at + cut);
      }
      const frame = frameFromJson(text);
      if (!(frame instanceof Uint8Array)) continue;
      taken++;
      expect(hex(frameFromJson(frameToJson(frame)))).toBe(hex(frame));
    }
    expect(taken).toBeGreaterThan(MUTATIONS / 100);
  });
});
