import { expect, test } from 'vitest';
import { FrameType, Self } from '../../proto/client.ts';
import { makeClient, makeWorld, next } from '../testing/harness.ts';

/** The settings that these tests leave alone. */
const OTHERS = { notifications: 'all', language: '', status_text: '' } as const;

test('self: all pages in one; after a resync the whole comes again, as changes may have been missed', async () => {
  const world = await makeWorld();
  const { gateway, alice } = world;
  for (let i = 1n; i <= 501n; i++) gateway.chat.read.set(`${alice}/${i}`, i);
  const client = makeClient(world);
  await client.connect();
  await client.mute('7', 99);
  await client.saveDraft('7', 'well');
  const whole = await client.self();
  expect(whole.reads).toHaveLength(501);
  expect(whole).toMatchObject({
    mutes: [{ conversation: '7', untilMs: 99 }],
    drafts: [{ conversation: '7', text: 'well' }],
    settings: { version: 1, last_seen: 'everybody', invisible: false, receipts: true, ...OTHERS },
  });
  const again = next(client, 'self');
  gateway.chat.mutes.clear();
  for (const connection of gateway.connections) connection.resync();
  expect(await again).toMatchObject({ isWhole: true, mutes: [] });
});

test('setSettings: those that are named change; of another version, none', async () => {
  const world = await makeWorld();
  const client = makeClient(world);
  await client.connect();
  expect(await client.setSettings({ invisible: true, last_seen: 'rooms' })).toEqual({
    version: 2,
    invisible: true,
    last_seen: 'rooms',
    receipts: true,
    ...OTHERS,
  });
  await expect(client.setSettings({ receipts: false }, { ifVersion: 1 })).rejects.toMatchObject({
    code: 'SETTINGS_CHANGED',
  });
});

test('SELF: an event with what another device has changed; a setting that the client does not know is left out', async () => {
  const world = await makeWorld();
  const client = makeClient(world);
  await client.connect();
  const event = next(client, 'self');
  const self = Self.fromPartial({
    reads: [{ conversation: 7n, readSeq: 3n }],
    settings: {
      version: 4n,
      settings: [
        { name: 'colour', value: '"red"' },
        { name: 'last_seen', value: '"friends"' },
        { name: 'receipts', value: 'false' },
      ],
    },
  });
  for (const connection of world.gateway.connections)
    connection.send(FrameType.SELF, 0, 0n, Self.encode(self).finish());
  expect(await event).toEqual({
    type: 'self',
    isWhole: false,
    reads: [{ conversation: '7', readSeq: 3, readEpoch: 0 }],
    mutes: [],
    drafts: [],
    settings: { version: 4, last_seen: 'everybody', invisible: false, receipts: false, ...OTHERS },
  });
});
