/** Contract: accounts, signing key, rooms, direct conversations, members. */
import { describe, expect, test } from 'vitest';
import type { Nodes } from './scratch.contract.ts';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import type { ListedConversation } from '../store.ts';

const UNSTORABLE = (2n ** 64n - 1n) as ConversationId;

export function describePeople(nodes: () => Nodes): void {
  describe('accounts', () => {
    test('createAccount: found by name, byte for byte', async () => {
      const { a, b } = nodes();
      const account = { id: a.userId(), name: a.name(), passwordHash: '$argon2id$v=19$"\\\'é' };
      const stored = { ...account, state: 'active', isAdmin: false, owner: undefined };
      expect(await a.store.createAccount(account)).toEqual(stored);
      expect(await b.store.findAccount(account.name)).toEqual(stored);
    });

    test('createAccount: undefined for a taken name, also for 8 at once', async () => {
      const { a, b } = nodes();
      const name = a.name();
      const made = await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          (index % 2 ? a : b).store.createAccount({ id: a.userId(), name, passwordHash: String(index) }),
        ),
      );
      const winners = made.filter((account) => account !== undefined);
      expect(winners).toHaveLength(1);
      expect(await a.store.findAccount(name)).toEqual(winners[0]);
    });

    test('createAccount: repeated after a lost answer, it succeeds again', async () => {
      const { a, b } = nodes();
      const account = { id: a.userId(), name: a.name(), passwordHash: 'x' };
      expect(await a.store.createAccount(account)).toMatchObject(account);
      expect(await b.store.createAccount(account)).toMatchObject(account);
    });

    test('findAccount: undefined for unknown names and for what cannot be a name', async () => {
      const { store, name } = { store: nodes().a.store, name: nodes().a.name() };
      expect(await store.findAccount(name)).toBeUndefined();
      expect(await store.findAccount('\0')).toBeUndefined();
      expect(await store.findAccount("' or 1=1 --")).toBeUndefined();
    });

    test('profilesOf: by id, for existing accounts; names stay, display names change', async () => {
      const { a, b } = nodes();
      const accounts = [1, 2, 3].map(() => ({ id: a.userId(), name: a.name(), passwordHash: 'x' }));
      for (const account of accounts) await a.store.createAccount(account);
      const [ann, bob] = accounts.map(({ id }) => id) as [UserId, UserId, UserId];
      const asked = [bob, a.userId(), ann, UNSTORABLE as bigint as UserId];
      const names = await b.store.profilesOf(asked);
      expect(names).toEqual(
        new Map(accounts.slice(0, 2).map(({ id, name }) => [id, { name, displayName: '' }])),
      );
      await a.store.setDisplayName(ann, 'Änn 🦊');
      await a.store.setDisplayName(bob, 'Bob');
      await b.store.setDisplayName(bob, '');
      await b.store.setDisplayName(b.userId(), 'Nobody');
      const shown = [...(await b.store.profilesOf([ann, bob])).values()].map(
        ({ displayName }) => displayName,
      );
      expect(shown.toSorted()).toEqual(['', 'Änn 🦊']);
      expect(await b.store.profilesOf([])).toEqual(new Map());
    });

    test('setDisplayName: only if people see a certain name', async () => {
      const { a, b } = nodes();
      const ann = await a.user();
      const { name = '' } = (await a.store.profilesOf([ann])).get(ann) ?? {};
      expect(await a.store.setDisplayName(ann, 'Änn', 'Bob')).toBe(false);
      expect(await a.store.setDisplayName(ann, 'Änn', name)).toBe(true);
      const both = await Promise.all([a, b].map(({ store }, n) => store.setDisplayName(ann, `n${n}`, 'Änn')));
      expect(both.filter((isSet) => isSet)).toHaveLength(1);
      expect(await a.store.setDisplayName(a.userId(), 'Nobody')).toBe(false);
    });

    test('profilesSince: the profiles that were changed since', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const beganMs = Date.now();
      await a.store.setDisplayName(ann, 'Änn');
      const changed = await b.store.profilesSince(beganMs);
      expect([changed.get(ann)?.displayName, changed.has(bob)]).toEqual(['Änn', false]);
      expect(await b.store.profilesSince(Date.now() + 1)).toEqual(new Map());
      expect((await b.store.profilesSince(0)).has(bob)).toBe(false);
    });

    test('signing keys: of two nodes that add the first one at once, one does; so for each that follows', async () => {
      const { a, b } = nodes();
      const key = (kid: string, signsFromMs: number) => ({
        kid,
        privateJwk: `{"kid":"${kid}"}`,
        signsFromMs,
      });
      await Promise.all([a.store.addSigningKey(key('k1', 0), ''), b.store.addSigningKey(key('k2', 0), '')]);
      const [first, ...none] = await a.store.signingKeys();
      expect(none).toEqual([]);
      expect(['k1', 'k2']).toContain(first?.kid);
      const after = first?.kid ?? '';
      await Promise.all([
        a.store.addSigningKey(key('k3', 5), after),
        b.store.addSigningKey(key('k4', 5), after),
      ]);
      await a.store.addSigningKey(key('k5', 5), after);
      await a.store.addSigningKey(key('k6', 5), '');
      const both = await b.store.signingKeys();
      expect(both).toHaveLength(2);
      expect(both[0]).toEqual(first);
      expect(both[1]).toMatchObject({ signsFromMs: 5 });
      const { kid, privateJwk } = both[1] as (typeof both)[number];
      await a.store.replaceSigningKey(kid, 'another', 'x');
      await b.store.replaceSigningKey(kid, privateJwk, 'sealed');
      expect((await a.store.signingKeys()).map((each) => each.privateJwk)).toEqual([
        first?.privateJwk,
        'sealed',
      ]);
      await b.store.removeSigningKey(after);
      expect((await a.store.signingKeys()).map((each) => each.kid)).toEqual([kid]);
    });
  });

  describe('revocations', () => {
    test('revoke: is known on every node, once; if there are too many, the newest are returned', async () => {
      const { a, b } = nodes();
      const revocation = {
        user: await a.user(),
        scope: 'tokens',
        token: (1n << 62n) + 1n,
        code: 'KICKED',
        reason: 'é "x"',
        expiresAtMs: Date.now(),
      } as const;
      const atUs = Date.now() * 1000;
      for (const offset of [2, 1, 3, 3]) await a.store.revoke({ ...revocation, atUs: atUs + offset });
      const [one, two, three] = [1, 2, 3].map((offset) => ({ ...revocation, atUs: atUs + offset }));
      expect(await b.store.revocations(10)).toEqual([one, two, three]);
      await a.store.revoke({ ...revocation, user: (2n ** 64n - 1n) as UserId, atUs: atUs + 4 });
      expect(await b.store.revocations(2)).toEqual([two, three]);
    });

    test('revoke: those that ended more than a day ago are deleted', async () => {
      const { a } = nodes();
      const revocation = { scope: 'token', token: 5n, code: 'LOGGED_OUT', reason: '', atUs: 1 } as const;
      const now = Date.now();
      const [old, recent] = [await a.user(), await a.user()];
      await a.store.revoke({ ...revocation, user: old, expiresAtMs: now - 25 * 3_600_000 });
      await a.store.revoke({ ...revocation, user: recent, expiresAtMs: now - 23 * 3_600_000 });
      const users = (await a.store.revocations(1000)).map(({ user }) => user);
      expect(users).not.toContain(old);
      expect(users).toContain(recent);
    });
  });

  describe('rooms', () => {
    test('createRoom: the creator is a member', async () => {
      const { a, b } = nodes();
      const [creator, id, name] = [await a.user(), a.conversationId(), a.name()];
      const room = await a.store.createRoom(id, name, creator);
      expect(room).toEqual({
        id,
        kind: 'room',
        name,
        lastSeq: 0,
        memberVersion: 1,
        peer: undefined,
        visibleAfterSeq: 0,
        deliveredSeq: 0,
        readSeq: 0,
        role: 'owner',
        floorSeq: 0,
        pinsVersion: 0,
        activeAtMs: expect.any(Number) as number,
        unread: 0,
        threadsUnread: 0,
        readEpoch: 0,
        mutedUntilMs: 0,
        isNew: true,
      });
      expect((await b.store.membersOf(id))?.members.map(({ user }) => user)).toEqual([creator]);
    });

    test('createRoom: a taken name is undefined and leaves the room alone; its owner finds it again', async () => {
      const { a, b } = nodes();
      const [ann, bob, id, name] = [await a.user(), await a.user(), a.conversationId(), a.name()];
      const room = await a.store.createRoom(id, name, ann);
      expect(await b.store.createRoom(b.conversationId(), name, bob)).toBeUndefined();
      expect(await b.store.createRoom(id, name, ann)).toEqual({ ...room, isNew: false });
      // A repeat on another node comes with another id; the owner's word is what tells it from a taken name.
      expect(await b.store.createRoom(b.conversationId(), name, ann)).toEqual({ ...room, isNew: false });
      expect(await b.store.createRoom(b.conversationId(), name, ann, true)).toBeUndefined();
      expect(await b.store.membersOf(id)).toMatchObject({ version: 1, members: [{ user: ann }] });
    });

    test('joinRoom: by id and by name; joining again changes nothing', async () => {
      const { a, b } = nodes();
      const [ann, bob, cid] = [await a.user(), await a.user(), await a.user()];
      const name = a.name();
      const id = (await a.store.createRoom(a.conversationId(), name, ann))?.id as ConversationId;
      await a.fill(id, ann, 3);
      const joined = await b.joinRoom(name, bob);
      expect(joined).toMatchObject({ id, name, lastSeq: 4, memberVersion: 2, visibleAfterSeq: 0 });
      expect(await a.joinRoom(id, cid)).toMatchObject({ id, memberVersion: 3 });
      expect(await a.joinRoom(id, bob)).toMatchObject({ id, memberVersion: 3 });
      expect(await a.joinRoom(name, ann)).toMatchObject({ id, memberVersion: 3 });
      const list = await b.store.membersOf(id);
      expect(list?.version).toBe(3);
      expect(list?.members.map(({ user }) => user)).toEqual([ann, bob, cid]);
    });

    test('joinRoom: undefined for an id or name that is not a room', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const direct = await a.store.openDirect(a.conversationId(), ann, bob);
      expect(await a.joinRoom(direct.id, await a.user())).toBeUndefined();
      expect(await a.joinRoom(a.conversationId(), ann)).toBeUndefined();
      expect(await a.joinRoom(UNSTORABLE, ann)).toBeUndefined();
      expect(await a.joinRoom(a.name(), ann)).toBeUndefined();
      expect(await a.joinRoom('\0', ann)).toBeUndefined();
      expect((await a.store.membersOf(direct.id))?.members).toHaveLength(2);
    });

    test('joinRoom: 8 users twice each, on two nodes at once, are 8 changes', async () => {
      const { a, b } = nodes();
      const room = await a.room(await a.user());
      const users = await Promise.all(Array.from({ length: 8 }, () => a.user()));
      await Promise.all(users.flatMap((user) => [a.joinRoom(room, user), b.joinRoom(room, user)]));
      const list = await a.store.membersOf(room);
      expect(list?.version).toBe(9);
      expect(list?.members).toHaveLength(9);
    });

    test('membersOf: the members; undefined if there are none', async () => {
      const { a } = nodes();
      const user = await a.user();
      const room = await a.room(user);
      const members = [{ user, visibleAfterSeq: 0 }];
      expect(await a.store.membersOf(room)).toEqual({ version: 1, members });
      expect(await a.store.membersOf(a.conversationId())).toBeUndefined();
      expect(await a.store.membersOf(UNSTORABLE)).toBeUndefined();
    });

    test('membersOf: hundreds at once, each with its own list, also repeated and missing ones', async () => {
      const { a } = nodes();
      const users = await Promise.all(Array.from({ length: 20 }, () => a.user()));
      const rooms = await Promise.all(users.map((user) => a.room(user)));
      const asked = Array.from({ length: 600 }, (_, n) => (n % 7 === 0 ? a.conversationId() : rooms[n % 20]));
      const lists = await Promise.all(asked.map((id) => a.store.membersOf(id as ConversationId)));
      expect(lists.map((list) => list?.members.map(({ user }) => user))).toEqual(
        asked.map((_, n) => (n % 7 === 0 ? undefined : [users[n % 20]])),
      );
    });

    test('listRooms: pages by ascending id, with member counts and whether the user has joined; no direct conversations', async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const before = a.conversationId();
      const one = await a.room(ann, bob);
      await a.store.openDirect(a.conversationId(), ann, bob);
      const two = await a.room(ann);
      const three = await a.room(bob);
      await a.fill(one, ann, 2);
      const first = await a.store.listRooms(bob, String(before), 2);
      expect(first).toMatchObject({
        items: [
          { id: one, members: 2, joined: true, lastSeq: 2 },
          { id: two, members: 1, joined: false, lastSeq: 0 },
        ],
        next: String(two),
      });
      const rest = await a.store.listRooms(bob, first.next ?? '', 2);
      expect(rest).toMatchObject({ items: [{ id: three, joined: true }], next: undefined });
      expect(await a.store.listRooms(bob, String(three), 2)).toEqual({ items: [], next: undefined });
      expect(await a.store.listRooms(bob, String(UNSTORABLE), 2)).toEqual({ items: [], next: undefined });
      expect(await a.store.listRooms(bob, 'no key', 2)).toEqual({ items: [], next: undefined });
    });
  });

  describe('direct conversations', () => {
    test('openDirect: one conversation for both, and each sees the other', async () => {
      const { a, b } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const id = a.conversationId();
      const forBob = await a.store.openDirect(id, bob, ann);
      expect(forBob).toMatchObject({
        id,
        kind: 'direct',
        name: '',
        peer: ann,
        memberVersion: 1,
        isNew: true,
      });
      const forAnn = await b.store.openDirect(b.conversationId(), ann, bob);
      expect(forAnn).toEqual({ ...forBob, peer: bob, isNew: false });
      expect((await a.store.membersOf(id))?.members.map(({ user }) => user)).toEqual([ann, bob]);
    });

    test('openDirect: with oneself', async () => {
      const { a } = nodes();
      const ann = await a.user();
      const notes = await a.store.openDirect(a.conversationId(), ann, ann);
      expect(notes).toMatchObject({ kind: 'direct', peer: ann });
      expect(await a.store.openDirect(a.conversationId(), ann, ann)).toEqual({
        ...notes,
        isNew: false,
      });
      expect((await a.store.membersOf(notes.id))?.members).toHaveLength(1);
      expect(await a.append([a.draft(notes.id, ann)])).toMatchObject([{ ok: true, seq: 1 }]);
    });

    test('openDirect: both at once, on two nodes, open the same one', async () => {
      const { a, b } = nodes();
      for (let round = 0; round < 5; round++) {
        const [ann, bob] = [await a.user(), await a.user()];
        const opened = await Promise.all(
          Array.from({ length: 6 }, (_, index) =>
            index % 2
              ? a.store.openDirect(a.conversationId(), ann, bob)
              : b.store.openDirect(b.conversationId(), bob, ann),
          ),
        );
        const [id] = new Set(opened.map((conversation) => conversation.id));
        expect(opened.every((conversation) => conversation.id === id)).toBe(true);
        expect((await a.store.membersOf(id as ConversationId))?.members).toHaveLength(2);
      }
    });

    test("every call that opens a conversation: gives the device's cursors, as a sync would", async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), { id: a.userId(), name: a.name(), passwordHash: 'x' }];
      await a.store.createAccount(bob);
      const name = a.name();
      const room = (await a.store.createRoom(a.conversationId(), name, ann))?.id as ConversationId;
      const direct = (await a.store.openDirect(a.conversationId(), ann, bob.id)).id;
      for (const conversation of [room, direct]) {
        await a.fill(conversation, ann, 4);
        const move = { user: ann, conversation, readSeq: 0 };
        await a.store.moveCursors([{ ...move, device: '', deliveredSeq: 3 }]);
        await a.store.moveCursors([{ ...move, device: 'phone', deliveredSeq: 1 }]);
      }
      for (const [device, deliveredSeq] of [
        ['phone', 1],
        ['laptop', 3],
        ['', 3],
        [undefined, 3],
      ] as const) {
        const come = { deliveredSeq };
        expect(await a.store.openDirect(direct, ann, bob.id, device)).toMatchObject(come);
        expect(await a.joinRoom(room, ann, device)).toMatchObject(come);
        expect(await a.store.createRoom(room, name, ann, false, device)).toMatchObject(come);
      }
    });

    test('conversationOf: as its user sees it; undefined for non-members', async () => {
      const { a } = nodes();
      const [ann, bob, eve] = [await a.user(), await a.user(), await a.user()];
      const room = await a.room(ann, bob);
      await a.append([a.draft(room, ann), a.draft(room, ann)]);
      await a.store.moveCursors([
        { user: bob, device: 'phone', conversation: room, deliveredSeq: 2, readSeq: 1 },
      ]);
      const [listed] = await a.conversations(bob, 'phone');
      expect(listed).toMatchObject({ id: room, lastSeq: 2, deliveredSeq: 2, readSeq: 1, role: 'member' });
      const { lastMessage, ...conversation } = listed as ListedConversation;
      expect(await a.store.conversationOf(room, bob, 'phone')).toEqual(conversation);
      expect(lastMessage).toMatchObject({ seq: 2 });
      expect(await a.store.conversationOf(room, ann, '')).toMatchObject({ deliveredSeq: 0, role: 'owner' });
      expect(await a.store.conversationOf(room, eve, '')).toBeUndefined();
      expect(await a.store.conversationOf(((1n << 63n) - 1n) as ConversationId, bob, '')).toBeUndefined();
      await a.leaveRoom(room, bob);
      expect(await a.store.conversationOf(room, bob, 'phone')).toBeUndefined();
    });

    test("conversationsOf: the last active first, and only the user's own", async () => {
      const { a } = nodes();
      const [ann, bob] = [await a.user(), await a.user()];
      const [one, two, three] = [await a.room(ann), await a.room(ann, bob), await a.room(bob)];
      const later = Date.now() + 60_000;
      await a.append([a.draft(two, ann, { atMs: later })]);
      await a.append([a.draft(one, ann, { atMs: later + 1 })]);
      expect(await a.conversations(ann, '')).toMatchObject([{ id: one, lastSeq: 1 }, { id: two }]);
      await a.append([a.draft(two, bob, { atMs: later + 2 })]);
      expect((await a.conversations(ann, '')).map(({ id }) => id)).toEqual([two, one]);
      expect((await a.conversations(bob, '')).map(({ id }) => id)).toEqual([two, three]);
      expect(await a.conversations(await a.user(), '')).toEqual([]);
    });
  });
}
