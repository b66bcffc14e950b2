import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ConversationId, MessageId, UserId } from '../../common/mod.ts';
import { settle } from '../testing/test-node.ts';
import { DEFAULT_ENTRY_RULES } from '../policy.ts';
import type { Appended, Draft } from '../store/store.ts';
import { CONVERSATION_ENTRIES, GroupCommit, type GroupCommitOptions } from './group-commit.ts';
import { within } from '../../test/harness/eventually.ts';

const ROOM = 7n as ConversationId;
const HONEST = 1n as UserId;
const GREEDY = 2n as UserId;

/** A queue whose commits the test lets through one by one; a row is called after its client_msg_id. */
class Queue {
  readonly batches: string[][] = [];
  readonly overdue: string[] = [];
  readonly commit: GroupCommit<string>;
  #release: (() => void) | undefined;

  constructor(limits: Partial<GroupCommitOptions<string>> = {}) {
    this.commit = new GroupCommit({
      store: { append: (drafts) => this.#append(drafts) },
      rules: DEFAULT_ENTRY_RULES,
      nextIds: (count) => Array.from({ length: count }, () => 0n as MessageId),
      queueRows: 1000,
      queueBytes: 1 << 20,
      batchRows: 100,
      batchBytes: 1 << 20,
      turnRows: 3,
      turnBytes: 1 << 20,
      queueMs: 10_000,
      onCommitted: () => undefined,
      onFailed: (_, error) => {
        throw error;
      },
      onOverdue: ({ origins }) => this.overdue.push(...origins),
      ...limits,
    });
  }

  /** Puts rows in, as of one tick; returns those that were refused. */
  send(sender: UserId, names: readonly string[], text = ''): string[] {
    const refused = names.filter((name) => !this.commit.offer(ROOM, sender, name, text, undefined, name));
    this.commit.start();
    return refused;
  }

  /** Ends the commit that is in flight. */
  async next(): Promise<void> {
    this.#release?.();
    await settle();
  }

  /** Ends all commits until nothing waits. */
  async drain(): Promise<void> {
    const ended = this.commit.idle();
    while (this.#release !== undefined) await this.next();
    await within('the end of the drain', ended);
  }

  #append(drafts: readonly Draft[]): Promise<readonly Appended[]> {
    this.batches.push(drafts.map(({ clientMsgId }) => clientMsgId));
    return new Promise((resolve) => {
      this.#release = () => {
        this.#release = undefined;
        resolve(drafts.map(() => ({ ok: true, seq: 1, id: 0n, atMs: 0 }) as never));
      };
    });
  }
}

function named(letter: string, count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, i) => `${letter}${from + i}`);
}

describe('group commit: entries that are no plain texts', () => {
  const PIN = {
    kind: 'pin',
    target: 1,
    thread: 0,
    targetClientMsgId: '',
    range: undefined,
    reason: '',
  } as const;

  test('each is charged as four rows of its user’s turn and of the batch', async () => {
    const queue = new Queue({ turnRows: 9, batchRows: 22 });
    queue.send(HONEST, ['first']);
    for (const name of ['p1', 'p2', 'p3']) queue.commit.offer(ROOM, GREEDY, name, '', PIN, name);
    queue.send(GREEDY, ['g1', 'g2']);
    queue.send(HONEST, named('h', 12));
    await queue.drain();
    expect(queue.batches).toEqual([
      ['first'],
      ['p1', 'p2', ...named('h', 9)],
      ['p3', 'g1', 'g2', ...named('h', 3, 10)],
    ]);
  });

  test('one alone: is committed, however small the batch is', async () => {
    const queue = new Queue({ turnRows: 1, batchRows: 1 });
    for (const name of ['p1', 'p2']) queue.commit.offer(ROOM, GREEDY, name, '', PIN, name);
    queue.commit.start();
    await queue.drain();
    expect(queue.batches).toEqual([['p1'], ['p2']]);
  });

  test('many users about one conversation: some in each batch, in turn, and nobody else waits for them', async () => {
    const queue = new Queue({ turnRows: 9, batchRows: 400 });
    queue.send(HONEST, ['first']);
    const crowd = named('p', CONVERSATION_ENTRIES + 2);
    for (const [i, name] of crowd.entries())
      for (const n of [1, 2]) queue.commit.offer(ROOM, BigInt(i + 10) as UserId, `${name}.${n}`, '', PIN, '');
    queue.send(10n as UserId, ['text']);
    queue.send(GREEDY, named('g', 12));
    const elsewhere = 8n as ConversationId;
    queue.commit.offer(elsewhere, HONEST, 'elsewhere', '', PIN, '');
    queue.send(HONEST, ['h1']);
    await queue.drain();
    const pins = queue.batches.map((batch) => batch.filter((name) => name.startsWith('p')));
    expect(pins.map(({ length }) => length)).toEqual([0, 32, 32, 4]);
    expect(queue.batches[1]).toEqual(expect.arrayContaining(['text', ...named('g', 9), 'elsewhere', 'h1']));
    expect(queue.batches[2]).toEqual(expect.arrayContaining(named('g', 3, 10)));
    expect(pins.flat().toSorted()).toEqual(crowd.flatMap((name) => [`${name}.1`, `${name}.2`]).toSorted());
    for (const name of crowd)
      expect(pins.flat().indexOf(`${name}.1`)).toBeLessThan(pins.flat().indexOf(`${name}.2`));
  });
});

describe('group commit: turns', () => {
  test('a row beside a flood: is in the next batch, however much waits', async () => {
    const queue = new Queue();
    queue.send(GREEDY, named('g', 200));
    queue.send(HONEST, ['h1']);
    await queue.next();
    expect(queue.batches).toEqual([
      ['g1', 'g2', 'g3'],
      ['g4', 'g5', 'g6', 'h1'],
    ]);
  });

  test('several floods: each gets a turn in each batch', async () => {
    const queue = new Queue({ turnRows: 2 });
    for (const user of [2n, 3n, 4n]) queue.send(user as UserId, named(`u${user}-`, 5));
    await queue.drain();
    expect(queue.batches).toEqual([
      ['u2-1', 'u2-2'],
      ['u2-3', 'u2-4', 'u3-1', 'u3-2', 'u4-1', 'u4-2'],
      ['u2-5', 'u3-3', 'u3-4', 'u4-3', 'u4-4'],
      ['u3-5', 'u4-5'],
    ]);
  });

  test('more floods than a batch has room for: they take turns, and half of the batch is for others', async () => {
    const queue = new Queue({ turnRows: 2, batchRows: 8 });
    for (const user of [2n, 3n, 4n, 5n]) queue.send(user as UserId, named(`u${user}-`, 8));
    await queue.next();
    queue.send(HONEST, ['h1']);
    await queue.next();
    await queue.next();
    expect(queue.batches.slice(1)).toEqual([
      ['u2-3', 'u2-4', 'u3-1', 'u3-2', 'u4-1', 'u4-2', 'u5-1', 'u5-2'],
      ['u2-5', 'u2-6', 'u3-3', 'u3-4', 'h1'],
      ['u4-3', 'u4-4', 'u5-3', 'u5-4'],
    ]);
  });

  test('large rows: a turn is bounded by bytes too, and has at least one row', async () => {
    const queue = new Queue({ turnBytes: 5000 });
    queue.send(GREEDY, named('g', 4), 'x'.repeat(1000));
    queue.send(HONEST, ['h1'], 'x'.repeat(10_000));
    await queue.drain();
    expect(queue.batches).toEqual([
      ['g1', 'g2'],
      ['g3', 'g4', 'h1'],
    ]);
  });

  test('users with a few rows each: all are in the next batch', async () => {
    const queue = new Queue();
    queue.send(HONEST, ['first']);
    for (let user = 10; user < 60; user++) queue.send(BigInt(user) as UserId, named(`u${user}-`, 2));
    await queue.next();
    expect(queue.batches[1]).toHaveLength(100);
  });

  test('any senders: all is committed once, the rows of each user in their order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.record({ user: fc.integer({ min: 1, max: 5 }), count: fc.integer({ min: 1, max: 12 }) }),
            fc.constant('commit' as const),
          ),
          { maxLength: 30 },
        ),
        async (steps) => {
          const queue = new Queue({ turnRows: 3, batchRows: 7, queueRows: 40 });
          const sent = new Map<number, string[]>();
          for (const step of steps) {
            if (step === 'commit') await queue.next();
            else {
              const mine = sent.get(step.user) ?? [];
              const names = named(`u${step.user}-`, step.count, mine.length + 1);
              const refused = queue.send(BigInt(step.user) as UserId, names);
              sent.set(step.user, [...mine, ...names.filter((name) => !refused.includes(name))]);
            }
          }
          await queue.drain();
          for (const batch of queue.batches) expect(batch.length).toBeLessThanOrEqual(7);
          for (const [user, names] of sent)
            expect(queue.batches.flat().filter((name) => name.startsWith(`u${user}-`))).toEqual(names);
          expect(queue.commit.rows).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('group commit: a full queue', () => {
  test('one user who floods: is refused before the queue is half full, newest rows first; others are not', () => {
    const queue = new Queue();
    const refused = queue.send(GREEDY, named('g', 900));
    expect(refused).toEqual(named('g', refused.length, 901 - refused.length));
    expect(queue.commit.rows).toBeLessThan(500);
    expect(queue.commit.hasRoom).toBe(true);
    expect(queue.send(HONEST, named('h', 6))).toEqual([]);
  });

  test('a hundred users who flood: together they can fill at most half and a turn each', () => {
    const queue = new Queue();
    for (let user = 10; user < 110; user++) queue.send(BigInt(user) as UserId, named('g', 100));
    expect(queue.commit.rows).toBeLessThan(1000);
    expect(queue.send(HONEST, named('h', 3))).toEqual([]);
  });

  test('bytes: count as rows do', () => {
    const queue = new Queue({ queueBytes: 1 << 20, turnBytes: 1 << 14 });
    const refused = queue.send(GREEDY, named('g', 100), 'x'.repeat(8192));
    expect(refused.length).toBeGreaterThan(50);
    expect(queue.send(HONEST, named('h', 3), 'x'.repeat(8192))).toEqual([]);
  });

  test('nobody has more than a turn waiting: they can use the whole queue', () => {
    const queue = new Queue({ queueRows: 20, batchRows: 5 });
    const refused = Array.from({ length: 12 }, (_, i) =>
      queue.send(BigInt(10 + i) as UserId, [`${10 + i}a`, `${10 + i}b`]),
    );
    // The rows of the first one are in flight.
    expect(refused.flat()).toEqual(['21a', '21b']);
  });
});

describe('group commit: rows that are taken out', () => {
  test('remove: takes out the matching rows of the given users, in order; the others keep theirs', async () => {
    const queue = new Queue();
    queue.send(HONEST, ['first']);
    queue.send(GREEDY, named('g', 10));
    queue.send(HONEST, named('h', 5));
    const removed = queue.commit.remove(new Set([GREEDY]), (name) => name !== 'g2' && name !== 'g7');
    expect(removed.origins).toEqual(['g1', 'g3', 'g4', 'g5', 'g6', 'g8', 'g9', 'g10']);
    expect(queue.commit.rows).toBe(7);
    await queue.drain();
    expect(queue.batches.slice(1).flat()).toEqual(['g2', 'h1', 'h2', 'h3', 'g7', 'h4', 'h5']);
  });

  test('remove: all rows of the gathering batch; the rows after them go on', async () => {
    const queue = new Queue();
    queue.send(GREEDY, named('g', 10));
    queue.commit.remove(new Set([GREEDY]), (name) => Number(name.slice(1)) < 9);
    await queue.drain();
    expect(queue.batches).toEqual([
      ['g1', 'g2', 'g3'],
      ['g9', 'g10'],
    ]);
  });

  test('rows that have waited too long: are given back, also from beyond a turn; newer ones are not', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    vi.advanceTimersByTime(1);
    const queue = new Queue();
    queue.send(GREEDY, named('g', 8));
    vi.advanceTimersByTime(6000);
    queue.send(HONEST, ['h1']);
    vi.advanceTimersByTime(5000);
    await queue.drain();
    expect(queue.overdue).toEqual(named('g', 5, 4));
    expect(queue.batches).toEqual([['g1', 'g2', 'g3'], ['h1']]);
  });
});
