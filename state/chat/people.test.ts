import { expect, test } from 'vitest';
import type { UserId } from '../../common/mod.ts';
import { client, FrameType } from '../../proto/mod.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { settle, testNode } from '../testing/test-node.ts';

/** Users 1 and 2 in a room, each with a connection of that number. */
async function pair() {
  const made = await testNode();
  const room = await made.store.addRoom(7n, 'room', [1n, 2n]);
  const w = made.worker();
  w.attach(1, 1n);
  w.attach(2, 2n);
  w.take();
  const ask = async (call: NonNullable<client.Request['call']>) => {
    w.request(1, 9, 0n, call);
    const answers: (client.User[] | string)[] = [];
    await eventually(() => {
      for (const { type, payload } of w.delivered()) {
        if (type === FrameType.NACK) answers.push(client.Nack.decode(payload).code);
        if (type !== FrameType.RESPONSE) continue;
        const { result } = client.Response.decode(payload);
        answers.push(result?.$case === 'users' ? result.users.users : '');
      }
      return answers.length > 0;
    });
    return answers[0];
  };
  const lookUp = (...users: bigint[]) => ask({ $case: 'getUsers', getUsers: { users } });
  const rename = (displayName: string) =>
    ask({ $case: 'setProfile', setProfile: { displayName, ifDisplayName: '' } });
  return { ...made, room, w, lookUp, rename };
}

test('set_profile: the name is shown with what the user sends from then on, and no message changes', async () => {
  const { room, w, store, lookUp, rename } = await pair();
  w.send(1, 1, room, 'before');
  await settle();
  w.take();
  expect(await rename('  Ann \t Lee ')).toEqual([{ id: 1n, name: 'user1', displayName: 'Ann Lee' }]);
  w.send(1, 2, room, 'after');
  await settle();
  expect(w.lines()).toContain('2: MESSAGE 7#2 Ann Lee: after');
  expect(store.log(room).map(({ text }) => text)).toEqual(['before', 'after']);
  expect(await lookUp(1n)).toMatchObject([{ displayName: 'Ann Lee' }]);
  expect(await rename('')).toEqual([{ id: 1n, name: 'user1', displayName: 'user1' }]);
});

test('set_profile: a name that is none is refused, and changes nothing', async () => {
  const { lookUp, rename } = await pair();
  for (const name of [' ', 'a\u0007', 'a\u202e', 'x'.repeat(65)])
    expect(await rename(name)).toBe('DISPLAY_NAME_INVALID');
  expect(await lookUp()).toEqual([{ id: 1n, name: 'user1', displayName: 'user1' }]);
});

test('get_users: those who exist; without ids the caller', async () => {
  const { store, lookUp } = await pair();
  await store.setDisplayName(2n as UserId, 'Bob');
  expect(await lookUp()).toMatchObject([{ id: 1n }]);
  expect(await lookUp(2n, 99n, 1n << 63n, 1n)).toEqual(
    expect.arrayContaining([
      { id: 1n, name: 'user1', displayName: 'user1' },
      { id: 2n, name: 'user2', displayName: 'Bob' },
    ]),
  );
  expect(await lookUp(99n)).toEqual([]);
  expect(await lookUp(...Array.from({ length: 201 }, (_, n) => BigInt(n + 1)))).toBe('ARGUMENT_INVALID');
});
