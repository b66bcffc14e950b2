/** The part of the store's contract about refused drafts: a client_msg_id has one answer, on every node and however late. */
import { describe, expect, test } from 'vitest';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { type Appended, type Draft, MAX_PINS, MAX_RANGES, REFUSAL_MS, type SendRefusal } from '../store.ts';
import { type Nodes, RULES, type World } from './scratch.contract.ts';

/** Rows of one kind that a call of `erase` takes, in the test of that. */
const FEW = 2;

export function describeRefusals(nodes: () => Nodes): void {
  interface Scene {
    readonly world: World;
    readonly room: ConversationId;
    readonly ann: UserId;
    readonly bob: UserId;
  }

  const refused = (code: SendRefusal): Appended => ({ ok: false, code });

  /** Makes a room of ann's, with bob. */
  async function scene(): Promise<Scene> {
    const { a } = nodes();
    const [ann, bob] = [await a.user(), await a.user()];
    return { world: a, room: await a.room(ann, bob), ann, bob };
  }

  async function rows(room: ConversationId): Promise<number> {
    const [row] = await nodes().scratch.query(
      `select count(*) as n from refusals where conversation = ${room}`,
    );
    return Number(row?.['n']);
  }

  /** What is refused, and what makes it acceptable. */
  const CASES: readonly [
    SendRefusal,
    (scene: Scene) => Promise<{ draft: Draft; mend: () => Promise<unknown> }>,
  ][] = [
    [
      'NOT_A_MEMBER',
      async ({ world, room, bob }) => {
        await world.leaveRoom(room, bob);
        return { draft: world.draft(room, bob), mend: () => world.joinRoom(room, bob) };
      },
    ],
    [
      'TARGET_NOT_FOUND',
      async ({ world, room, bob }) => ({
        draft: world.entry(room, bob, { kind: 'edit', targetClientMsgId: 'unsent' }),
        mend: () => world.append([world.draft(room, bob, { clientMsgId: 'unsent' })]),
      }),
    ],
    [
      'ROLE_TOO_LOW',
      async ({ world, room, ann, bob }) => {
        await world.fill(room, ann, 1);
        return {
          draft: world.entry(room, bob, { kind: 'pin', target: 1 }),
          mend: () => world.setRole(room, ann, bob, 'moderator'),
        };
      },
    ],
    [
      'EDIT_TOO_LATE',
      async ({ world, room, bob }) => {
        await world.append([world.draft(room, bob, { atMs: 1000 })]);
        const atMs = 1001 + RULES.editWindowMs;
        const draft = world.entry(room, bob, { kind: 'edit', target: 1 });
        // As for a node whose clock is slow.
        const mend = async () => ((draft as { atMs: number }).atMs = 1000);
        return { draft: Object.assign(draft, { atMs }), mend };
      },
    ],
    [
      'PINS_FULL',
      async ({ world, room, ann }) => {
        await world.fill(room, ann, MAX_PINS + 1);
        const pin = (target: number) => world.entry(room, ann, { kind: 'pin', target });
        await world.append(Array.from({ length: MAX_PINS }, (_, i) => pin(i + 1)));
        const unpin = world.entry(room, ann, { kind: 'unpin', target: 1 });
        return { draft: pin(MAX_PINS + 1), mend: () => world.append([unpin]) };
      },
    ],
    [
      'RANGES_FULL',
      async ({ world, room, bob }) => {
        await world.fill(room, bob, 1);
        const range = () =>
          world.entry(room, bob, { kind: 'retract', range: { sender: bob, fromSeq: 1, toSeq: 1 } });
        await world.append(Array.from({ length: MAX_RANGES }, range));
        const mend = () => world.execute(`delete from erasures where conversation = ${room}`);
        return { draft: range(), mend };
      },
    ],
  ];

  describe('a refused draft', () => {
    test.each(CASES)(
      '%s: stays refused on every node when its cause is gone; another is accepted',
      async (code, make) => {
        const { a, b } = nodes();
        const made = await scene();
        const { room, ann } = made;
        const { draft, mend } = await make(made);
        expect(await a.append([draft])).toEqual([refused(code)]);
        await mend();
        const logged = (await a.history(ann, room, 0, 1000))?.messages.length;
        for (const world of [b, a]) expect(await world.append([draft])).toEqual([refused(code)]);
        expect((await a.history(ann, room, 0, 1000))?.messages.length).toBe(logged);
        const again = { ...draft, id: a.messageId(), clientMsgId: a.name() };
        expect(await b.append([again])).toMatchObject([
          { ok: true, duplicate: false, seq: (logged ?? 0) + 1 },
        ]);
      },
    );

    test('keeps its first code, also where it would be refused for another reason now', async () => {
      const { a, b } = nodes();
      const { room, bob } = await scene();
      const edit = a.entry(room, bob, { kind: 'edit', target: 7 });
      expect(await a.append([edit])).toEqual([refused('TARGET_NOT_FOUND')]);
      await a.leaveRoom(room, bob);
      expect(await b.append([edit])).toEqual([refused('TARGET_NOT_FOUND')]);
    });

    test('among others and twice in a batch: costs only itself, and leaves no gap', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await scene();
      await a.leaveRoom(room, bob);
      const [late, named] = [
        a.draft(room, bob),
        a.entry(room, ann, { kind: 'edit', targetClientMsgId: 'x' }),
      ];
      const batch = [
        a.draft(room, ann),
        late,
        named,
        a.draft(room, ann, { clientMsgId: 'x' }),
        // Of a message that comes with it, so that it is appended after the rest.
        a.entry(room, ann, { kind: 'edit', target: 2 }),
        { ...late, id: a.messageId() },
        { ...named, id: a.messageId() },
        a.draft(room, ann),
      ];
      const answers = [
        { seq: 2 },
        refused('NOT_A_MEMBER'),
        refused('TARGET_NOT_FOUND'),
        { seq: 3 },
        { seq: 4 },
        refused('NOT_A_MEMBER'),
        refused('TARGET_NOT_FOUND'),
        { seq: 5 },
      ];
      expect(await a.append(batch)).toMatchObject(answers);
      expect(await rows(room)).toBe(2);
      await a.joinRoom(room, bob);
      const duplicates = answers.map((answer) => ('seq' in answer ? { ...answer, duplicate: true } : answer));
      expect(await b.append([...batch, b.draft(room, bob)])).toMatchObject([...duplicates, { seq: 7 }]);
      expect(await rows(room)).toBe(2);
    });

    test('what was committed before its sender left is acknowledged, and nothing of it is refused later', async () => {
      const { a, b } = nodes();
      const { room, bob } = await scene();
      const draft = a.draft(room, bob);
      await a.append([draft]);
      await a.leaveRoom(room, bob);
      for (const world of [b, a])
        expect(await world.append([draft])).toMatchObject([{ seq: 1, duplicate: true }]);
      expect(await rows(room)).toBe(0);
    });

    test('two nodes get the same drafts while their sender comes and goes: each has one answer', async () => {
      const { a, b } = nodes();
      const { room, ann, bob } = await scene();
      const drafts = Array.from({ length: 60 }, () => a.draft(room, bob));
      const answers = new Map(drafts.map(({ clientMsgId }) => [clientMsgId, new Set<string>()]));
      const send = async (world: World) => {
        // The second time all are repetitions, of what this node or the other has answered.
        for (let at = 0; at < 2 * drafts.length; at += 5) {
          const batch = drafts.slice(at % drafts.length).slice(0, 5);
          for (const [i, answer] of (await world.append(batch)).entries())
            answers.get(batch[i]?.clientMsgId ?? '')?.add(answer.ok ? `seq ${answer.seq}` : answer.code);
        }
      };
      const move = async () => {
        for (let n = 0; n < 20; n++) {
          await b.leaveRoom(room, bob);
          await a.joinRoom(room, bob);
        }
      };
      await Promise.all([send(a), send(b), move()]);
      expect([...answers].filter(([, given]) => given.size !== 1)).toEqual([]);
      const said = (await a.history(ann, room, 0, 1000))?.messages.filter(({ sender }) => sender === bob);
      const accepted = [...answers].filter(([, given]) => !given.has('NOT_A_MEMBER')).map(([id]) => id);
      const logged = said?.filter(({ extra }) => extra === undefined).map(({ clientMsgId }) => clientMsgId);
      expect(logged?.toSorted()).toEqual(accepted.toSorted());
    });

    test('of a conversation that does not exist: is not remembered', async () => {
      const { a } = nodes();
      const { bob } = await scene();
      const nowhere = a.conversationId();
      expect(await a.append([a.draft(nowhere, bob)])).toEqual([refused('NOT_A_MEMBER')]);
      expect(await rows(nowhere)).toBe(0);
    });

    test('is forgotten after REFUSAL_MS, so many rows at a time, and never before', async () => {
      const { a, b } = nodes();
      const { room, bob } = await scene();
      while (await b.store.erase(1000, Number.MAX_SAFE_INTEGER));
      await a.leaveRoom(room, bob);
      const drafts = Array.from({ length: 2 * FEW }, () => a.draft(room, bob));
      await a.append(drafts);
      await a.joinRoom(room, bob);
      const age = (ms: number) =>
        a.execute(`update refusals set at_ms = at_ms - ${ms} where conversation = ${room}`);
      // A minute for the test itself.
      await age(REFUSAL_MS - 60_000);
      // The clock of the node does not count.
      expect(await b.store.erase(FEW, Number.MAX_SAFE_INTEGER)).toBe(false);
      expect(await b.append(drafts)).toEqual(drafts.map(() => refused('NOT_A_MEMBER')));
      await age(60_000);
      expect(await b.store.erase(FEW, 0)).toBe(true);
      expect(await rows(room)).toBe(FEW);
      while (await b.store.erase(FEW, 0));
      expect(await rows(room)).toBe(0);
      expect(await a.append(drafts)).toMatchObject(drafts.map((_, i) => ({ ok: true, seq: i + 3 })));
    });
  });
}
