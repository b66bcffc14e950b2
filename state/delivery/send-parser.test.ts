import { describe, expect, test } from 'vitest';
import { client, frameFromJson, framePayload } from '../../proto/mod.ts';
import { SendParser } from './send-parser.ts';

const { ENTRY_KIND_EDIT, ENTRY_KIND_PIN, ENTRY_KIND_RETRACT, ENTRY_KIND_SYSTEM, ENTRY_KIND_UNPIN } =
  client.EntryKind;
const MAX_TEXT_BYTES = 1000;
const WIDE = 1n << 53n;
const range = (fields: Partial<client.SenderRange>) => ({ sender: 1n, fromSeq: 1n, toSeq: 2n, ...fields });

function parse(payload: Uint8Array) {
  const parser = new SendParser(MAX_TEXT_BYTES);
  return { fault: parser.parse(payload, 0), parser };
}

function encode(fields: Partial<client.Send>): Uint8Array {
  return client.Send.encode(client.Send.fromPartial({ clientMsgId: 'c', ...fields })).finish();
}

/** A payload with raw fields after a valid beginning. */
function withBytes(...bytes: number[]): Uint8Array {
  return Uint8Array.from([...encode({ text: 'x' }), ...bytes]);
}

describe('a SEND', () => {
  test('a plain text: has no entry', () => {
    const { fault, parser } = parse(encode({ text: 'héllo' }));
    expect(fault).toBeUndefined();
    expect(parser).toMatchObject({ clientMsgId: 'c', text: 'héllo', textBytes: 6, entry: undefined });
    expect(parse(encode({ text: 'x', kind: 0, replyTo: 0n })).parser.entry).toBeUndefined();
  });

  const none = { target: 0, thread: 0, targetClientMsgId: '', range: undefined, reason: '' };
  test.each([
    ['a reply', { text: 'x', replyTo: 5n }, { ...none, kind: 'message', target: 5 }],
    ['a reply in a thread', { text: 'x', thread: 5n }, { ...none, kind: 'message', thread: 5 }],
    [
      'a reply in a thread far up',
      { text: 'x', thread: WIDE - 1n },
      { ...none, kind: 'message', thread: Number(WIDE - 1n) },
    ],
    ['an edit', { kind: ENTRY_KIND_EDIT, text: 'x', target: 5n }, { ...none, kind: 'edit', target: 5 }],
    [
      'an edit of a message without a seq',
      { kind: ENTRY_KIND_EDIT, text: 'x', targetClientMsgId: 'd' },
      { ...none, kind: 'edit', targetClientMsgId: 'd' },
    ],
    [
      'a retraction',
      { kind: ENTRY_KIND_RETRACT, target: WIDE - 1n, reason: 'r'.repeat(300) },
      { ...none, kind: 'retract', target: Number(WIDE - 1n), reason: 'r'.repeat(300) },
    ],
    [
      'a retraction of a range',
      { kind: ENTRY_KIND_RETRACT, range: range({}) },
      { ...none, kind: 'retract', range: { sender: 1n, fromSeq: 1, toSeq: 2 } },
    ],
    ['a pin', { kind: ENTRY_KIND_PIN, target: 5n }, { ...none, kind: 'pin', target: 5 }],
    ['an unpin', { kind: ENTRY_KIND_UNPIN, target: 5n }, { ...none, kind: 'unpin', target: 5 }],
  ])('%s: is an entry', (_, fields, entry) => {
    const { fault, parser } = parse(encode(fields));
    expect(fault).toBeUndefined();
    expect(parser.entry).toEqual(entry);
    expect(parser.text).toBe('text' in fields ? 'x' : '');
  });

  test('after an entry: a plain text has nothing of it', () => {
    const parser = new SendParser(MAX_TEXT_BYTES);
    parser.parse(encode({ kind: ENTRY_KIND_EDIT, text: 'edited', target: 5n }), 0);
    parser.parse(encode({ text: 'x' }), 0);
    expect(parser).toMatchObject({ text: 'x', textBytes: 1, entry: undefined });
    parser.parse(encode({ kind: ENTRY_KIND_PIN, target: 5n }), 0);
    expect(parser).toMatchObject({ text: '', textBytes: 0 });
  });

  test.each<[string, Partial<client.Send>, string]>([
    ['a message without a text', {}, 'TEXT_EMPTY'],
    ['a reply without a text', { replyTo: 1n }, 'TEXT_EMPTY'],
    ['an edit without a text', { kind: ENTRY_KIND_EDIT, target: 1n }, 'TEXT_EMPTY'],
    [
      'an edit with a text that is too long',
      { kind: ENTRY_KIND_EDIT, target: 1n, text: 'x'.repeat(1001) },
      'TEXT_TOO_LONG',
    ],
    ['an edit with U+0000', { kind: ENTRY_KIND_EDIT, target: 1n, text: 'a\0' }, 'ARGUMENT_INVALID'],
    ['an edit of nothing', { kind: ENTRY_KIND_EDIT, text: 'x' }, 'ARGUMENT_INVALID'],
    [
      'an edit of two',
      { kind: ENTRY_KIND_EDIT, text: 'x', target: 1n, targetClientMsgId: 'd' },
      'ARGUMENT_INVALID',
    ],
    ['an edit of a range', { kind: ENTRY_KIND_EDIT, text: 'x', range: range({}) }, 'ARGUMENT_INVALID'],
    [
      'an edit with reply_to',
      { kind: ENTRY_KIND_EDIT, text: 'x', target: 1n, replyTo: 1n },
      'ARGUMENT_INVALID',
    ],
    [
      'an edit with a reason',
      { kind: ENTRY_KIND_EDIT, text: 'x', target: 1n, reason: 'r' },
      'ARGUMENT_INVALID',
    ],
    ['a retraction of nothing', { kind: ENTRY_KIND_RETRACT }, 'ARGUMENT_INVALID'],
    ['a retraction of two', { kind: ENTRY_KIND_RETRACT, target: 1n, range: range({}) }, 'ARGUMENT_INVALID'],
    ['a retraction with a text', { kind: ENTRY_KIND_RETRACT, target: 1n, text: 'x' }, 'ARGUMENT_INVALID'],
    [
      'a reason that is too long',
      { kind: ENTRY_KIND_RETRACT, target: 1n, reason: 'ä'.repeat(151) },
      'ARGUMENT_INVALID',
    ],
    ['a reason with U+0000', { kind: ENTRY_KIND_RETRACT, target: 1n, reason: '\0' }, 'ARGUMENT_INVALID'],
    ['a range of nobody', { kind: ENTRY_KIND_RETRACT, range: range({ sender: 0n }) }, 'ARGUMENT_INVALID'],
    [
      'a range of what no user can be',
      { kind: ENTRY_KIND_RETRACT, range: range({ sender: 1n << 63n }) },
      'ARGUMENT_INVALID',
    ],
    ['a range from 0', { kind: ENTRY_KIND_RETRACT, range: range({ fromSeq: 0n }) }, 'ARGUMENT_INVALID'],
    [
      'a range that ends before it begins',
      { kind: ENTRY_KIND_RETRACT, range: range({ fromSeq: 3n }) },
      'ARGUMENT_INVALID',
    ],
    [
      'a range beyond what a seq can be',
      { kind: ENTRY_KIND_RETRACT, range: range({ toSeq: WIDE }) },
      'ARGUMENT_INVALID',
    ],
    ['a pin of nothing', { kind: ENTRY_KIND_PIN }, 'ARGUMENT_INVALID'],
    ['a pin by client_msg_id', { kind: ENTRY_KIND_PIN, targetClientMsgId: 'd' }, 'ARGUMENT_INVALID'],
    ['a pin of a range', { kind: ENTRY_KIND_PIN, range: range({}) }, 'ARGUMENT_INVALID'],
    ['a pin with a text', { kind: ENTRY_KIND_PIN, target: 1n, text: 'x' }, 'ARGUMENT_INVALID'],
    ['a thread that no seq can be', { text: 'x', thread: WIDE }, 'ARGUMENT_INVALID'],
    ['a thread with a quote', { text: 'x', thread: 1n, replyTo: 1n }, 'ARGUMENT_INVALID'],
    ['a thread with a target', { text: 'x', thread: 1n, target: 1n }, 'ARGUMENT_INVALID'],
    ['an edit in a thread', { kind: ENTRY_KIND_EDIT, text: 'x', target: 1n, thread: 1n }, 'ARGUMENT_INVALID'],
    ['a thread without a text', { thread: 1n }, 'TEXT_EMPTY'],
    ['a message with a target', { text: 'x', target: 1n }, 'ARGUMENT_INVALID'],
    ['a message with a range', { text: 'x', range: range({}) }, 'ARGUMENT_INVALID'],
    ['a message with a reason', { text: 'x', reason: 'r' }, 'ARGUMENT_INVALID'],
    ['a target that no seq can be', { kind: ENTRY_KIND_PIN, target: WIDE }, 'ARGUMENT_INVALID'],
    ['a quote of what no seq can be', { text: 'x', replyTo: (1n << 64n) - 1n }, 'ARGUMENT_INVALID'],
    [
      'a target_client_msg_id that is too long',
      { kind: ENTRY_KIND_EDIT, text: 'x', targetClientMsgId: 'd'.repeat(65) },
      'ARGUMENT_INVALID',
    ],
    ['a SYSTEM entry', { kind: ENTRY_KIND_SYSTEM, target: 1n }, 'ARGUMENT_INVALID'],
    ['a kind that is not known', { kind: 6 as client.EntryKind, text: 'x' }, 'ARGUMENT_INVALID'],
    ['a kind below 0', { kind: -1 as client.EntryKind, text: 'x' }, 'ARGUMENT_INVALID'],
    ['no client_msg_id', { clientMsgId: '', kind: ENTRY_KIND_PIN, target: 1n }, 'CLIENT_MSG_ID_INVALID'],
  ])('%s: is refused', (_, fields, code) => {
    const { fault, parser } = parse(encode(fields));
    expect(fault).toBe(code);
    expect(parser.clientMsgId).toBe(fields.clientMsgId ?? 'c');
    if (code === 'ARGUMENT_INVALID') expect(parser.what).not.toBe('');
  });

  test.each([
    ['attachments', 0x52, 0],
    ['a ciphertext', 0x5a, 0],
    ['reactions', 0x62, 0],
  ])('%s, which is kept for later: is refused', (_, ...bytes) => {
    expect(parse(withBytes(...bytes)).fault).toBe('ARGUMENT_INVALID');
  });

  test.each(['attachments', 'ciphertext', 'reactions'])('%s in JSON: is refused', (name) => {
    const send = (value: unknown) =>
      frameFromJson(JSON.stringify({ type: 'SEND', client_msg_id: 'c', text: 'x', [name]: value }));
    const faults = [[], '5', {}, 0, null].map(
      (value) => parse(framePayload(send(value) as Uint8Array)).fault,
    );
    expect(faults).toEqual([...Array.from({ length: 4 }, () => 'ARGUMENT_INVALID'), undefined]);
  });

  test('a field of a later version: is skipped', () => {
    const { fault, parser } = parse(withBytes(0x68, 1));
    expect([fault, parser.entry]).toEqual([undefined, undefined]);
  });

  test.each([
    ['a kind that is cut', [0x18]],
    ['a reason that is no UTF-8', [0x18, 2, 0x20, 1, 0x3a, 1, 0xff]],
    ['a target_client_msg_id that is no UTF-8', [0x18, 1, 0x2a, 2, 0xc3, 0x28]],
    ['a range that is cut', [0x42, 4, 8]],
    ['a range whose fields are cut', [0x42, 1, 8]],
    ['a target without end', [0x20, ...Array.from({ length: 11 }, () => 0xff)]],
  ])('%s: FRAME_INVALID', (_, bytes) => {
    expect(parse(withBytes(...bytes)).fault).toBe('FRAME_INVALID');
  });
});
