/** Tests of the cutting of batches. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConversationId, MessageId, UserId } from '../../../common/mod.ts';
import type { Draft, DraftEntry } from '../store.ts';
import { partsOf } from './append-parts.ts';

const [ANN, BOB] = [1n as UserId, 2n as UserId];
const ROOM = 10n as ConversationId;

function draft(clientMsgId: string, entry?: Partial<DraftEntry>, sender = ANN, conversation = ROOM): Draft {
  return {
    conversation,
    sender,
    clientMsgId,
    id: 0n as MessageId,
    text: '',
    atMs: 0,
    entry: entry && {
      kind: 'edit',
      target: 0,
      thread: 0,
      targetClientMsgId: '',
      range: undefined,
      reason: '',
      ...entry,
    },
  };
}

const edit = (target: number, sender = ANN) => draft(`edit ${target}`, { target }, sender);
const named = (targetClientMsgId: string, sender = ANN) => draft('named', { targetClientMsgId }, sender);
const reply = (target: number) => draft('reply', { kind: 'message', target });
const pin = (target: number) => draft('pin', { kind: 'pin', target });
const retract = (target: number) => draft('retract', { kind: 'retract', target });
const range = () => draft('range', { kind: 'retract', range: { sender: ANN, fromSeq: 1, toSeq: 9 } });

describe('partsOf', () => {
  test.each<[string, Draft[], number[] | undefined]>([
    ['nothing', [], undefined],
    ['plain messages', [draft('a'), draft('b')], undefined],
    ['edits of different messages', [edit(1), draft('a'), edit(2), edit(3, BOB)], undefined],
    ['replies to one message', [reply(1), reply(1), reply(2)], undefined],
    ['two edits of one message', [edit(1), draft('a'), edit(1), draft('b')], [0, 0, 1, 1]],
    ['an edit of what a reply quotes', [reply(1), edit(1)], [0, 1]],
    ['a reply to what is edited', [edit(1), reply(1)], [0, 1]],
    ['the target by its name in the same part', [draft('a'), named('a')], [0, 1]],
    ['the same name of another sender', [draft('a'), named('a', BOB)], undefined],
    ['an edit by name alone', [named('a')], undefined],
    ['an edit by name beside one by seq', [named('a'), edit(1)], [0, 1]],
    ['an edit by seq beside one by name', [edit(1), named('a')], [0, 1]],
    ['edits by different names', [named('a'), named('b')], undefined],
    ['a range after a message', [draft('a'), range()], [0, 1]],
    ['a range first', [range(), draft('a')], undefined],
    ['an entry after a range', [range(), draft('a'), edit(1)], [0, 0, 1]],
    ['two pins', [pin(1), draft('a'), pin(2)], [0, 0, 1]],
    ['a pin after a retraction', [retract(1), pin(2)], [0, 1]],
    ['a retraction after a pin', [pin(1), retract(2)], undefined],
    ['cuts that follow each other', [edit(1), edit(1), edit(1)], [0, 1, 2]],
  ])('%s', (_, drafts, parts) => {
    expect(partsOf(drafts)).toEqual(parts);
  });

  test('the entries of a conversation have one time in a part, the latest so far', () => {
    const at = (atMs: number, conversation = ROOM) => ({ ...draft('a', undefined, ANN, conversation), atMs });
    const other = 11n as ConversationId;
    expect(partsOf([at(1), at(2, other), at(1)])).toBe(undefined);
    expect(partsOf([at(2), at(1, other), at(1), at(3), at(2), at(4), at(2, other)])).toEqual([
      0, 0, 0, 1, 1, 2, 1,
    ]);
  });

  test('conversations are cut on their own: as many parts as the worst of them needs', () => {
    const other = (target: number) => draft('other', { target }, BOB, 11n as ConversationId);
    const quiet = draft('quiet', undefined, BOB, 12n as ConversationId);
    expect(partsOf([edit(1), other(1), edit(1), other(1), quiet, edit(2)])).toEqual([0, 0, 1, 1, 0, 1]);
  });

  test('any batch: each conversation keeps its order, and a part has no two changes of one message', () => {
    const entries = fc.oneof(
      fc.constant(undefined),
      fc.record({
        kind: fc.constantFrom('message', 'edit', 'retract', 'pin', 'unpin'),
        target: fc.integer({ min: 1, max: 3 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.bigInt(1n, 3n), entries), { maxLength: 40 }), (given) => {
        const drafts = given.map(([conversation, entry], i) =>
          draft(`m${i}`, entry as Partial<DraftEntry> | undefined, ANN, conversation as ConversationId),
        );
        const parts = partsOf(drafts) ?? drafts.map(() => 0);
        const last = new Map<ConversationId, number>();
        const seen = new Map<string, boolean>();
        for (const [i, { conversation, entry }] of drafts.entries()) {
          const part = parts[i] as number;
          expect(part).toBeGreaterThanOrEqual(last.get(conversation) ?? 0);
          last.set(conversation, part);
          if (entry === undefined) continue;
          const key = `${part} ${conversation} ${entry.target}`;
          const isChange = entry.kind !== 'message';
          if (seen.has(key)) expect(isChange || seen.get(key)).toBe(false);
          seen.set(key, isChange || seen.get(key) === true);
        }
        expect(new Set(parts).size).toBe(Math.max(0, ...parts) + (parts.length === 0 ? 0 : 1));
      }),
    );
  });
});
