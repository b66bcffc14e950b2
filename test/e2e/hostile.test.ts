import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeHeader,
  encodeFrame,
  framePayload,
  FrameType,
  Nack,
  Request,
  Response,
  Send,
  Welcome,
} from '../../proto/client.ts';
import { Client, startUp } from '../harness/gochat.ts';
import { helloFrame, RawClient, tokenOf } from '../harness/raw-client.ts';

let folder: string;
let up: Awaited<ReturnType<typeof startUp>>;
let bystander: Client;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gochat-hostile-'));
  // Deadlines that no test meets, however slow the machine is.
  up = await startUp(folder, ['--hello-timeout-ms', '60000', '--frame-timeout-ms', '60000']);
  bystander = new Client(up, 'demo', '111111');
  bystander.say('/dm test begin');
  await bystander.event('sent');
});

afterEach(async () => {
  // Whatever was done, the others chat on.
  const text = `still here ${Math.random()}`;
  const before = bystander.events.filter((event) => event['event'] === 'sent').length;
  bystander.say(text);
  await bystander.until(
    (self) => (self.stdout.split('"event":"sent"').length - 1 > before ? true : undefined),
    'an ack for the bystander',
  );
});

afterAll(async () => {
  await bystander?.[Symbol.asyncDispose]();
  await up?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function raw(): RawClient {
  return new RawClient(up.gateway);
}

async function closeCode(client: RawClient): Promise<string> {
  const { code, reason } = await client.closeFrame();
  expect(reason.length).toBeGreaterThan(20);
  return code;
}

function login(): Promise<string> {
  return tokenOf(up, 'test', '111111');
}

/** The same token with one bit of its signature changed. */
function forge(token: string): string {
  const [head, body, signature] = token.split('.') as [string, string, string];
  const bytes = Buffer.from(signature, 'base64url');
  bytes[0] = (bytes[0] as number) ^ 1;
  return [head, body, bytes.toString('base64url')].join('.');
}

describe('before login', () => {
  test('garbage bytes: closed with a code', async () => {
    await using client = raw();
    client.send(randomBytes(4096).fill(0xff, 0, 4));
    expect(await closeCode(client)).toBe('FRAME_TOO_LARGE');
  });

  test('an HTTP request: closed with a code', async () => {
    await using client = raw();
    client.send(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    expect(await closeCode(client)).toBe('FRAME_TOO_LARGE');
  });

  test('SEND first: HELLO_EXPECTED', async () => {
    await using client = raw();
    client.send(
      encodeFrame(
        FrameType.SEND,
        1,
        1n,
        Send.encode(Send.fromPartial({ clientMsgId: 'a', text: 'b' })).finish(),
      ),
    );
    expect(await closeCode(client)).toBe('HELLO_EXPECTED');
  });

  test('HELLO that does not parse: HELLO_EXPECTED', async () => {
    await using client = raw();
    client.send(encodeFrame(FrameType.HELLO, 0, 0n, new Uint8Array([0xff, 0xff, 0xff])));
    expect(await closeCode(client)).toBe('HELLO_EXPECTED');
  });

  test('a version of the future: VERSION_UNSUPPORTED', async () => {
    await using client = raw();
    client.send(helloFrame({ versionMin: 99, versionMax: 100, token: await login() }));
    expect(await closeCode(client)).toBe('VERSION_UNSUPPORTED');
  });

  test.each([
    ['nonsense', async () => 'nonsense'],
    ['empty', async () => ''],
    ['forged', async () => forge(await login())],
    [
      'alg none',
      async () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await login()).split('.')[1]}.`,
    ],
  ])('token that is %s: TOKEN_INVALID', async (_, token) => {
    await using client = raw();
    client.send(helloFrame({ token: await token() }));
    expect(await closeCode(client)).toBe('TOKEN_INVALID');
  });

  test('device name with control characters: DEVICE_INVALID', async () => {
    await using client = raw();
    client.send(helloFrame({ token: await login(), device: 'a\nb' }));
    expect(await closeCode(client)).toBe('DEVICE_INVALID');
  });
});

describe('after login', () => {
  test('oversize frame: FRAME_TOO_LARGE before it is received', async () => {
    await using client = raw();
    await client.hello(await login());
    const head = new Uint8Array(16);
    new DataView(head.buffer).setUint32(0, 1 << 30);
    client.send(head);
    expect(await closeCode(client)).toBe('FRAME_TOO_LARGE');
  });

  test('length smaller than a header: FRAME_TOO_SHORT', async () => {
    await using client = raw();
    await client.hello(await login());
    client.send(new Uint8Array([0, 0, 0, 1, 5]));
    expect(await closeCode(client)).toBe('FRAME_TOO_SHORT');
  });

  test.each([
    ['unknown frame type', () => rawFrame(200, 7, 0n, new Uint8Array(3)), 'FRAME_UNKNOWN'],
    [
      'a frame of the other direction',
      () => rawFrame(FrameType.WELCOME, 7, 0n, new Uint8Array(0)),
      'FRAME_UNKNOWN',
    ],
    [
      'SEND that does not parse',
      () => rawFrame(FrameType.SEND, 7, 1n, new Uint8Array([0x0a, 0xff])),
      'FRAME_INVALID',
    ],
    [
      'REQUEST that does not parse',
      () => rawFrame(FrameType.REQUEST, 7, 0n, new Uint8Array([0xff])),
      'FRAME_INVALID',
    ],
    ['REQUEST of nothing', () => rawFrame(FrameType.REQUEST, 7, 0n, new Uint8Array(0)), 'ARGUMENT_INVALID'],
    ['SEND to a strange conversation', () => send(7, 12345n, 'a', 'hi'), 'NOT_A_MEMBER'],
    ['SEND without text', () => send(7, 12345n, 'a', ''), 'TEXT_EMPTY'],
    ['SEND of 100 k', () => send(7, 12345n, 'a', 'x'.repeat(100_000)), 'TEXT_TOO_LONG'],
    ['SEND without an id', () => send(7, 12345n, '', 'x'), 'CLIENT_MSG_ID_INVALID'],
    ['SEND of a SYSTEM entry', () => sendEntry({ kind: 5 }), 'ARGUMENT_INVALID'],
    ['SEND of an edit of nothing', () => sendEntry({ kind: 1, text: 'x' }), 'ARGUMENT_INVALID'],
    ['SEND of an edit without a text', () => sendEntry({ kind: 1, target: 1n }), 'TEXT_EMPTY'],
  ])('%s: NACK with its ref, and the connection lives', async (_, frame, code) => {
    await using client = raw();
    await client.hello(await login());
    client.send(frame());
    const nack = await client.frame(FrameType.NACK);
    expect(decodeHeader(nack).ref).toBe(7);
    expect(Nack.decode(framePayload(nack))).toMatchObject({ code, retryable: false });
    client.send(encodeFrame(FrameType.PING, 9, 0n));
    expect(decodeHeader(await client.frame(FrameType.PONG)).ref).toBe(9);
  });

  test('another user cannot read a conversation: NOT_A_MEMBER', async () => {
    await using admin = new Client(up, 'admin', '111111');
    admin.say('/create private-hall', 'secret');
    const { conversation } = await admin.event('sent');
    await using client = raw();
    await client.hello(await login());
    for (const call of [
      { $case: 'getHistory' as const, getHistory: { at: undefined, limit: 10 } },
      { $case: 'getMembers' as const, getMembers: { after: '', limit: 0 } },
      { $case: 'listPins' as const, listPins: { after: '' } },
    ]) {
      client.frames.length = 0;
      const payload = Request.encode({ call }).finish();
      client.send(encodeFrame(FrameType.REQUEST, 3, BigInt(conversation as string), payload));
      expect(Nack.decode(framePayload(await client.frame(FrameType.NACK))).code).toBe('NOT_A_MEMBER');
    }
  });

  test('every split offset: the frames arrive', async () => {
    await using client = raw();
    await client.hello(await login());
    const call = { $case: 'listConversations' as const, listConversations: { after: '', limit: 0 } };
    const frame = encodeFrame(FrameType.REQUEST, 5, 0n, Request.encode({ call }).finish());
    client.socket.setNoDelay(true);
    for (const byte of frame) {
      client.send(new Uint8Array([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const response = await client.frame(FrameType.RESPONSE);
    expect(Response.decode(framePayload(response)).result?.$case).toBe('conversations');
  });

  test('WELCOME: tells the limits', async () => {
    await using client = raw();
    await client.hello(await login());
    const welcome = Welcome.decode(framePayload(await client.frame(FrameType.WELCOME)));
    expect(welcome).toMatchObject({
      version: 2,
      userName: 'test',
      maxFrameBytes: 262_144,
      maxTextBytes: 16_384,
    });
    expect(welcome.session).toBeGreaterThan(0n);
  });
});

/** By how much clocks may differ: a token is taken for so long after its end. */
const CLOCK_SKEW_MS = 5000;

test('silence, half a HELLO, half a frame, an expired token: each gets the code of its timeout', async () => {
  const other = mkdtempSync(join(tmpdir(), 'gochat-expired-'));
  const deadlines = ['--hello-timeout-ms', '2000', '--frame-timeout-ms', '500', '--token-ttl-ms', '1000'];
  await using short = await startUp(other, deadlines);
  await using silent = new RawClient(short.gateway);
  await using slow = new RawClient(short.gateway);
  slow.send(helloFrame({ token: 'x' }).subarray(0, 10));
  for (const each of [silent, slow]) expect(await closeCode(each)).toBe('HELLO_TIMEOUT');
  const token = await tokenOf(short, 'test', '111111');
  await using cut = new RawClient(short.gateway);
  await cut.hello(token);
  cut.send(encodeFrame(FrameType.SEND, 1, 1n, new Uint8Array(100)).subarray(0, 50));
  expect(await closeCode(cut)).toBe('FRAME_TIMEOUT');
  const { exp } = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as {
    exp: number;
  };
  await sleep(exp * 1000 - Date.now() + CLOCK_SKEW_MS + 1100);
  await using client = new RawClient(short.gateway);
  client.send(helloFrame({ token }));
  expect(await closeCode(client)).toBe('TOKEN_EXPIRED');
  await short[Symbol.asyncDispose]();
  rmSync(other, { recursive: true });
});

function rawFrame(type: number, ref: number, key: bigint, payload: Uint8Array): Uint8Array {
  return encodeFrame(type as FrameType, ref, key, payload);
}

function sendEntry(fields: Partial<Send>): Uint8Array {
  const payload = Send.encode(Send.fromPartial({ clientMsgId: 'a', ...fields })).finish();
  return encodeFrame(FrameType.SEND, 7, 12345n, payload);
}

function send(ref: number, conversation: bigint, clientMsgId: string, text: string): Uint8Array {
  return encodeFrame(
    FrameType.SEND,
    ref,
    conversation,
    Send.encode(Send.fromPartial({ clientMsgId, text })).finish(),
  );
}
