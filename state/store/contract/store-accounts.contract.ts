/** Contract: states of accounts, passwords, bots, OpenID Connect identities, closing. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accessCheck } from '../../policy.ts';
import { MAX_BOTS, MAX_RANGES } from '../store.ts';
import { type Nodes, RULES, type World } from './scratch.contract.ts';

const NOW = 1_800_000_000_000;
const NOBODY = (2n ** 64n - 1n) as UserId;

export function describeAccounts(nodes: () => Nodes): void {
  const makeBot = async ({ store }: World, owner: UserId) => {
    const bot = { id: nodes().a.userId(), name: nodes().a.name(), passwordHash: '' };
    const made = await store.createBot(bot, owner, 'Bot');
    if (typeof made === 'string') throw new Error(made);
    return made.id;
  };
  const stateOf = async ({ store }: World, user: UserId) => (await store.accountOf(user))?.state;
  const stamp = () => ({ ids: [nodes().a.messageId(), nodes().a.messageId()], atMs: NOW });

  describe('states of accounts', () => {
    test('setPasswordHash: of two at once that name the hash of before, one does it; repeated, it has done it', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const before = (await a.store.accountOf(user))?.passwordHash ?? '';
      const done = await Promise.all([
        a.store.setPasswordHash(user, 'of a', before),
        b.store.setPasswordHash(user, 'of b', before),
      ]);
      expect(done.filter(Boolean)).toHaveLength(1);
      const won = done[0] ? 'of a' : 'of b';
      expect((await a.store.accountOf(user))?.passwordHash).toBe(won);
      expect(await a.store.setPasswordHash(user, won, before)).toBe(true);
      expect(await a.store.setPasswordHash(user, 'any', undefined)).toBe(true);
      expect(await a.store.setPasswordHash(NOBODY, 'any', undefined)).toBe(false);
    });

    test('setAccountState: of a user with their bots; while suspended no session begins and none is refreshed', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const bot = await makeBot(a, user);
      const session = {
        id: BigInt(a.userId()),
        user: bot,
        client: '',
        address: '',
        createdAtMs: NOW,
        usedAtMs: NOW,
        expiresAtMs: NOW + 10,
        hashes: { family: 'f', secret: 's' },
        rotates: false,
      };
      expect(await a.store.addSession(session, 10)).toBe(true);
      expect(new Set(await b.store.setAccountState(user, 'suspended'))).toEqual(new Set([user, bot]));
      expect([await stateOf(a, user), await stateOf(a, bot)]).toEqual(['suspended', 'suspended']);
      expect(await a.store.addSession({ ...session, id: session.id + 1n }, 10)).toBe(false);
      const rotation = {
        session: session.id,
        presented: session.hashes,
        salt: 'x',
        nextSecret: 'n',
        nowMs: NOW,
        graceMs: 1,
        expiresAtMs: NOW + 99,
      };
      expect(await a.store.rotateSession(rotation)).toEqual({ result: 'suspended', user: bot });
      await a.store.setAccountState(user, 'active');
      for (const _ of [1, 2])
        expect(await a.store.rotateSession(rotation)).toMatchObject({ result: 'kept', user: bot });
      expect(
        await a.store.rotateSession({ ...rotation, presented: { family: 'f', secret: 'x' } }),
      ).toBeUndefined();
      expect(await a.store.setAccountState(NOBODY, 'suspended')).toEqual([]);
    });

    test('setAdmin: of a person, not of a bot', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const bot = await makeBot(a, user);
      expect(await a.store.setAdmin(user, true)).toBe(true);
      expect((await b.store.accountOf(user))?.isAdmin).toBe(true);
      expect(await a.store.setAdmin(bot, true)).toBe(false);
      expect(await a.store.setAdmin(NOBODY, true)).toBe(false);
    });

    test('accountsPage: all of them, ascending by id, page by page', async () => {
      const { a } = nodes();
      const made = [await a.user(), await a.user(), await a.user()];
      const found: bigint[] = [];
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page: Awaited<ReturnType<typeof a.store.accountsPage>> = await a.store.accountsPage(after, 2);
        expect(page.items.length).toBeLessThanOrEqual(2);
        found.push(...page.items.map(({ id }) => id));
        after = page.next;
      }
      expect(found).toEqual([...new Set(found)].toSorted((x, y) => Number(x - y)));
      expect(found).toEqual(expect.arrayContaining(made));
      expect((await a.store.accountsPage("' or 1=1", 2)).items).toEqual([]);
    });
  });

  describe('bots', () => {
    test('createBot: belongs to its owner; a taken name, and too many, are refused; repeated, it is the same', async () => {
      const { a, b } = nodes();
      const owner = await a.user();
      const bot = { id: a.userId(), name: a.name(), passwordHash: '' };
      const made = await a.store.createBot(bot, owner, 'Büilds');
      expect(made).toMatchObject({ ...bot, owner, state: 'active', isAdmin: false });
      expect(await b.store.createBot(bot, owner, 'Büilds')).toEqual(made);
      expect(await b.store.createBot({ ...bot, id: b.userId() }, owner, '')).toBe('NAME_TAKEN');
      expect(await a.store.botsOf(owner)).toMatchObject([{ id: bot.id, displayName: 'Büilds', owner }]);
      for (let more = 1; more < MAX_BOTS; more++) await makeBot(a, owner);
      const one = { id: a.userId(), name: a.name(), passwordHash: '' };
      expect(await a.store.createBot(one, owner, '')).toBe('BOTS_FULL');
      expect(await a.store.botsOf(await a.user())).toEqual([]);
    });
  });

  describe('identities', () => {
    test('createIdentity: of two log-ins at once both get one account; a taken name gives none', async () => {
      const { a, b } = nodes();
      const issuer = 'https://id.example';
      const subject = a.name();
      const account = () => ({ id: a.userId(), name: a.name(), passwordHash: '' });
      const [one, two] = await Promise.all([
        a.store.createIdentity(issuer, subject, account()),
        b.store.createIdentity(issuer, subject, account()),
      ]);
      expect(one).toBeDefined();
      expect(two).toEqual(one);
      expect(await b.store.findIdentity(issuer, subject)).toEqual(one);
      expect(await a.store.findIdentity(`${issuer}/`, subject)).toBeUndefined();
      const taken = { ...account(), name: one?.name ?? '' };
      expect(await a.store.createIdentity(issuer, a.name(), taken)).toBeUndefined();
    });
  });

  describe('closing', () => {
    test('closeAccount: with the right hash, at once; bots too; the name stays taken; it can be repeated', async () => {
      const { a, b } = nodes();
      const user = await a.user();
      const [{ name, passwordHash } = { name: '', passwordHash: '' }] = [await a.store.accountOf(user)];
      const bot = await makeBot(a, user);
      await a.store.setDisplayName(user, 'Ann');
      expect(await a.store.closeAccount(user, 'another', false, NOW)).toEqual([]);
      expect(await stateOf(b, user)).toBe('active');
      const both = await Promise.all([
        a.store.closeAccount(user, passwordHash, true, NOW),
        b.store.closeAccount(user, passwordHash, true, NOW),
      ]);
      for (const each of both) expect(new Set(each)).toEqual(new Set([user, bot]));
      expect(await b.store.accountOf(user)).toMatchObject({ state: 'closed', passwordHash: '', name });
      expect(await stateOf(b, bot)).toBe('closed');
      expect((await b.store.profilesOf([user])).get(user)).toEqual({ name, displayName: '' });
      expect(await a.store.createAccount({ id: a.userId(), name, passwordHash: 'x' })).toBeUndefined();
      expect(await a.store.setPasswordHash(user, 'x', undefined)).toBe(false);
      expect(await a.store.setAccountState(user, 'active')).toEqual([]);
      expect(await a.store.botsOf(user)).toEqual([]);
      const closings = (await b.store.closings()).filter((each) => [user, bot].includes(each.user));
      expect(new Map(closings.map((each) => [each.user, each.retracts]))).toEqual(
        new Map([
          [user, true],
          [bot, false],
        ]),
      );
      for (const each of [user, bot]) await a.store.removeClosing(each);
      expect((await b.store.closings()).filter((each) => [user, bot].includes(each.user))).toEqual([]);
    });

    test('retractAllOf: one RETRACT in each conversation that the user has written in, left ones too; then none', async () => {
      const { a, b } = nodes();
      const [user, other] = [await a.user(), await a.user()];
      const rooms = [await a.room(other, user), await a.room(other, user)];
      const quiet = await a.room(other, user);
      const direct = (await a.store.openDirect(a.conversationId(), user, other)).id;
      const written = [...rooms, direct];
      for (const id of written) await a.append([a.draft(id, user), a.draft(id, other), a.draft(id, user)]);
      await a.append([a.draft(quiet, other)]);
      for (const id of [...rooms, quiet])
        await a.store.leaveRoom(id, accessCheck('leaveRoom', user), stamp());
      expect(await a.store.roomsOf(user, 10)).toEqual([]);
      const retracted: ConversationId[] = [];
      for (;;) {
        const result = await (retracted.length % 2 === 0 ? a : b).store.retractAllOf(user, stamp());
        if (result === undefined || result === 'later') {
          expect(result).toBeUndefined();
          break;
        }
        const { conversation, sender, extra, seq } = result.entry;
        expect(sender).toBe(user);
        expect(extra).toMatchObject({ kind: 'retract', range: { sender: user, fromSeq: 1, toSeq: seq - 1 } });
        retracted.push(conversation);
      }
      expect(new Set(retracted)).toEqual(new Set(written));
      expect(retracted).toHaveLength(written.length);
      while (await a.store.erase(100, NOW));
      for (const id of written) {
        const page = await b.store.history(
          id,
          accessCheck('getHistory', other),
          { at: 'before', seq: 0 },
          50,
        );
        if (typeof page === 'string') throw new Error(page);
        const texts = page.messages.filter(({ extra }) => (extra?.kind ?? 'message') === 'message');
        expect(texts.map(({ sender, text, extra }) => [sender, text === '', extra?.retraction?.by])).toEqual([
          [user, true, user],
          [other, false, undefined],
          [user, true, user],
        ]);
        // A message that came late is found.
        expect(page.messages.at(-1)?.extra?.kind).toBe('retract');
      }
      await a.append([a.draft(direct, user)]);
      expect(await a.store.retractAllOf(user, stamp())).toMatchObject({ entry: { conversation: direct } });
      expect(await a.store.retractAllOf(user, stamp())).toBeUndefined();
    });

    test('retractAllOf: a conversation with too many ranges is left for later', async () => {
      const { a } = nodes();
      const [user, other] = [await a.user(), await a.user()];
      const room = await a.room(other, user);
      await a.append([a.draft(room, user), a.draft(room, other)]);
      for (let range = 0; range < MAX_RANGES; range++) {
        const entry = {
          kind: 'retract',
          target: 0,
          thread: 0,
          targetClientMsgId: '',
          range: { sender: other, fromSeq: 2, toSeq: 2 },
          reason: '',
        } as const;
        await a.store.append([{ ...a.draft(room, other), text: '', entry }], RULES);
      }
      expect(await a.store.retractAllOf(user, stamp())).toBe('later');
      while (await a.store.erase(100, NOW));
      expect(await a.store.retractAllOf(user, stamp())).toMatchObject({ entry: { conversation: room } });
    });
  });
}
