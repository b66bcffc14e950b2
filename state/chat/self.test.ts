import { expect, test } from 'vitest';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { testNode } from '../testing/test-node.ts';

/** User 1 on two devices, connections 1 and 2, and user 2 on connection 3, in room 7. */
async function devices() {
  const made = await testNode();
  const room = await made.store.addRoom(7n, 'room', [1n, 2n]);
  const w = made.worker();
  w.attach(1, 1n, { device: 'phone' });
  w.attach(2, 1n, { device: 'laptop' });
  w.attach(3, 2n, { device: 'tv' });
  w.take();
  const told: { conn: number; self: Partial<client.Self> }[] = [];
  let answer: string | client.Response['result'];
  const take = () => {
    for (const { conn, type, payload } of w.delivered()) {
      if (type === FrameType.SELF) told.push({ conn, self: client.Self.decode(payload) });
      else if (type === FrameType.NACK) answer = client.Nack.decode(payload).code;
      else if (type === FrameType.RESPONSE) answer = client.Response.decode(payload).result;
    }
  };
  const ask = async (key: bigint, call: NonNullable<client.Request['call']>) => {
    answer = undefined;
    w.request(1, 9, key, call);
    await eventually('the answer', () => {
      take();
      return answer !== undefined;
    });
    return answer;
  };
  const set = (name: string, value: string, ifVersion = 0n) =>
    ask(0n, { $case: 'setSettings', setSettings: { settings: [{ name, value }], ifVersion } });
  return { ...made, room, w, ask, set, told, take };
}

test('mute, draft, settings: the answer comes here, and the other device of the user alone is told', async () => {
  const { ask, set, told } = await devices();
  expect(await ask(7n, { $case: 'setMute', setMute: { untilMs: 5n } })).toMatchObject({ $case: 'done' });
  expect(await ask(7n, { $case: 'setDraft', setDraft: { text: 'well' } })).toMatchObject({
    self: { drafts: [{ conversation: 7n, text: 'well' }] },
  });
  expect(await set('last_seen', '"rooms"')).toMatchObject({
    settings: {
      version: 2n,
      settings: [
        { name: 'last_seen', value: '"rooms"' },
        { name: 'invisible', value: 'false' },
        { name: 'receipts', value: 'true' },
        { name: 'notifications', value: '"all"' },
        { name: 'language', value: '""' },
        { name: 'status_text', value: '""' },
      ],
    },
  });
  expect(told.map(({ conn }) => conn)).toEqual([2, 2, 2]);
  expect(told.map(({ self }) => self)).toMatchObject([
    { mutes: [{ conversation: 7n, untilMs: 5n }] },
    { drafts: [{ conversation: 7n, text: 'well' }] },
    { settings: { version: 2n } },
  ]);
  expect(await ask(0n, { $case: 'getSelf', getSelf: { after: '', limit: 0 } })).toMatchObject({
    self: {
      reads: [{ conversation: 7n, readSeq: 0n }],
      mutes: [{ untilMs: 5n }],
      drafts: [{ text: 'well' }],
      settings: { version: 2n },
      next: '',
    },
  });
});

test('read cursors: the other device is told what is stored, the one that has read is not', async () => {
  const { w, told, take } = await devices();
  w.send(3, 1, 7n, 'hello');
  const receipts = [{ conversation: 7n, deliveredSeq: 9n, readSeq: 9n, readEpoch: 0n, thread: 0n }];
  w.frames([1, encodeFrame(FrameType.RECEIPTS, 0, 0n, client.Receipts.encode({ receipts }).finish())]);
  await eventually('SELF', () => {
    take();
    return told.length > 0;
  });
  expect(told).toMatchObject([{ conn: 2, self: { reads: [{ conversation: 7n, readSeq: 1n }] } }]);
});

test('input that is not valid: refused with its code, and nothing is changed or told', async () => {
  const { ask, set, told, store } = await devices();
  expect(await set('colour', '"red"')).toBe('SETTING_INVALID');
  expect(await set('toString', '1')).toBe('SETTING_INVALID');
  for (const value of ['"strangers"', 'true', '', '{'])
    expect(await set('last_seen', value)).toBe('SETTING_INVALID');
  expect(await set('invisible', 'true', 9n)).toBe('SETTINGS_CHANGED');
  const draft = (key: bigint, text: string) => ask(key, { $case: 'setDraft', setDraft: { text } });
  expect(await draft(7n, 'é'.repeat(2049))).toBe('TEXT_TOO_LONG');
  expect(await draft(7n, 'é'.repeat(2048))).toMatchObject({ $case: 'self' });
  expect(await draft(8n, 'x')).toBe('NOT_A_MEMBER');
  expect(await draft(2n ** 64n - 1n, 'x')).toBe('NOT_A_MEMBER');
  const mute = (key: bigint, untilMs: bigint) => ask(key, { $case: 'setMute', setMute: { untilMs } });
  expect(await mute(7n, 2n ** 53n)).toBe('ARGUMENT_INVALID');
  expect(await mute(8n, 1n)).toBe('NOT_A_MEMBER');
  expect(await ask(0n, { $case: 'getSelf', getSelf: { after: 'x', limit: 0 } })).toBe('ARGUMENT_INVALID');
  expect(await ask(0n, { $case: 'getSelf', getSelf: { after: '', limit: 1001 } })).toBe('ARGUMENT_INVALID');
  expect(told).toHaveLength(1);
  expect(await store.settingsOf([1n as never])).toEqual(new Map());
});
