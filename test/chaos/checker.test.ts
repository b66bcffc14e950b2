import { describe, expect, test } from 'vitest';
import { Checker } from './checker.ts';
import type { Happening } from './history.ts';

const [ANN, BOB] = ['ann/phone0#1', 'bob/phone0#1'];
const ROOM = '7';

function shown(instance: string, seq: number, text: string): Happening {
  return { kind: 'message', instance, conversation: ROOM, seq, id: `10${seq}`, from: 'ann', text };
}

/** A change of who is in the room; entries are 1 ms apart. */
function membership(user: string, change: 'joined' | 'left', seq = 0, visibleAfter = 0, ms = 0): Happening {
  return { kind: 'membership', conversation: ROOM, user, change, seq, visibleAfter, ms };
}

/** A history without a breach: ann says one, two, three to bob; bob's client comes again after two. */
function good(): Happening[] {
  const start = (instance: string, user: string): Happening => ({
    kind: 'start',
    instance,
    user,
    device: 'phone',
  });
  const send = (text: string): Happening => ({ kind: 'send', instance: ANN, conversation: ROOM, text });
  const acked = (seq: number, text: string): Happening => ({
    kind: 'acked',
    instance: ANN,
    conversation: ROOM,
    text,
    seq,
    id: `10${seq}`,
  });
  const texts = ['one', 'two', 'three'];
  const up = (instance: string): Happening => ({
    kind: 'up',
    instance,
    gateway: 'gateway-0',
    resumed: false,
  });
  return [
    start(ANN, 'ann'),
    start(BOB, 'bob'),
    up(ANN),
    up(BOB),
    ...texts.map(send),
    acked(1, 'one'),
    shown(BOB, 1, 'one'),
    acked(2, 'two'),
    shown(BOB, 2, 'two'),
    { kind: 'end', instance: BOB, why: 'crashed', code: '' },
    start('bob/phone0#2', 'bob'),
    // It had not told the server of 2 yet.
    shown('bob/phone0#2', 2, 'two'),
    shown('bob/phone0#2', 3, 'three'),
    acked(3, 'three'),
    { kind: 'cursor', owner: 'bob/phone delivered', conversation: ROOM, seq: 1 },
    { kind: 'cursor', owner: 'bob/phone delivered', conversation: ROOM, seq: 3 },
    { kind: 'converged', ms: 10, clients: 2 },
    ...texts.map(
      (text, i): Happening => ({
        kind: 'log',
        conversation: ROOM,
        seq: i + 1,
        id: `10${i + 1}`,
        from: 'ann',
        text,
        erased: false,
      }),
    ),
    ...['ann', 'bob'].map((user) => membership(user, 'joined')),
    ...['ann', 'bob'].flatMap((user) =>
      texts.map(
        (text, i): Happening => ({
          kind: 'view',
          user,
          conversation: ROOM,
          seq: i + 1,
          id: `10${i + 1}`,
          text,
        }),
      ),
    ),
  ];
}

function judge(history: readonly Happening[]) {
  const checker = new Checker();
  for (const [at, happening] of history.entries()) checker.add({ ...happening, at });
  return checker.verdict();
}

type Match = { [key: string]: unknown };
const matches = (happening: Happening, match: Match) =>
  Object.entries(match).every(([key, value]) => (happening as Match)[key] === value);

/** The good history with the matching entries changed; undefined takes them out. */
function changed(match: Match, change: Match | undefined): Happening[] {
  const history = good();
  if (!history.some((happening) => matches(happening, match))) throw new Error('nothing matches');
  return history.flatMap((happening) => {
    if (!matches(happening, match)) return [happening];
    return change === undefined ? [] : [{ ...happening, ...change }];
  });
}

const NEW_BOB = 'bob/phone0#2';
const rules = (history: readonly Happening[]) => [
  ...new Set(judge(history).violations.map(({ rule }) => rule)),
];
const swap = (history: Happening[], a: Match, b: Match) => {
  const [i, j] = [a, b].map((match) => history.findIndex((happening) => matches(happening, match))) as [
    number,
    number,
  ];
  const [first, second] = [history[i] as Happening, history[j] as Happening];
  return history.with(i, second).with(j, first);
};

describe('Checker', () => {
  test('a history without a breach: no violation, and the counts', () => {
    expect(judge(good())).toMatchObject({
      violations: [],
      sends: 3,
      acked: 3,
      failed: {},
      messages: 3,
      deliveries: 4,
      instances: 2,
      convergedMs: 10,
    });
  });

  test.each<[breach: string, history: Happening[], rule: string]>([
    [
      'an acked message that the log lacks',
      changed({ kind: 'log', text: 'three' }, undefined),
      'acked means durable',
    ],
    ['an ack with another seq', changed({ kind: 'acked', text: 'two' }, { seq: 9 }), 'one order'],
    ['an ack with another id', changed({ kind: 'acked', text: 'two' }, { id: '999' }), 'one order'],
    ['a hole in the log', changed({ kind: 'log', text: 'two' }, { seq: 4 }), 'contiguous'],
    ['a text twice in the log', changed({ kind: 'log', text: 'two' }, { text: 'one' }), 'exactly once'],
    ['an id twice in the log', changed({ kind: 'log', text: 'two' }, { id: '101' }), 'one order'],
    ['a message that nobody sent', changed({ kind: 'send', text: 'two' }, { text: 'other' }), 'no phantom'],
    ['a message of another sender', changed({ kind: 'log', text: 'two' }, { from: 'bob' }), 'no phantom'],
    [
      'a message in another conversation',
      changed({ kind: 'send', text: 'two' }, { conversation: '8' }),
      'no phantom',
    ],
    ['a message that is shown and not in the log', changed({ kind: 'log', seq: 3 }, undefined), 'no phantom'],
    [
      'a message shown twice',
      changed({ kind: 'message', instance: NEW_BOB, seq: 3 }, { seq: 2 }),
      'once, in order',
    ],
    [
      'messages shown out of order',
      swap(
        good(),
        { kind: 'message', instance: NEW_BOB, seq: 2 },
        { kind: 'message', instance: NEW_BOB, seq: 3 },
      ),
      'once, in order',
    ],
    [
      'another message under the same seq',
      changed({ kind: 'message', instance: BOB, seq: 2 }, { id: '999' }),
      'one order',
    ],
    [
      'another text under the same seq',
      changed({ kind: 'message', instance: BOB, seq: 2 }, { text: 'other' }),
      'one order',
    ],
    [
      'a hole in what was shown',
      changed({ kind: 'message', instance: BOB, seq: 1 }, undefined),
      'resume anywhere',
    ],
    ['a lost tail', changed({ kind: 'message', instance: NEW_BOB, seq: 3 }, undefined), 'no loss'],
    ['a conversation that a device was shown nothing of', changed({ kind: 'message' }, undefined), 'no loss'],
    ['a device that goes on too late', changed({ kind: 'message', seq: 2 }, undefined), 'resume anywhere'],
    [
      'a member whose view lacks a message',
      changed({ kind: 'view', user: 'bob', seq: 2 }, undefined),
      'no loss',
    ],
    [
      'a member whose view has another message',
      changed({ kind: 'view', user: 'bob', seq: 2 }, { id: '999' }),
      'no loss',
    ],
    [
      'messages shown to somebody who is no member',
      changed({ kind: 'membership', user: 'bob' }, undefined),
      'members only',
    ],
    [
      'messages from before a member came',
      changed({ kind: 'membership', user: 'bob' }, { visibleAfter: 2 }),
      'members only',
    ],
    ['a message from after a member had left', [...good(), membership('bob', 'left', 2)], 'members only'],
    [
      'a message from between two stays, before the second one',
      [...good(), membership('bob', 'left', 2), membership('bob', 'joined', 3, 0, 1000)],
      'members only',
    ],
    [
      'a message from between two stays, in a room that hides its past',
      [...good(), membership('bob', 'left', 2), membership('bob', 'joined', 3, 3)],
      'members only',
    ],
    [
      'a client that was not told that its user is out',
      [...good(), membership('bob', 'left', 3)],
      'told of the end',
    ],
    [
      'a message shown twice between two stays',
      [
        ...good(),
        { kind: 'left', instance: NEW_BOB, conversation: ROOM, reason: 'left' },
        shown(NEW_BOB, 3, 'three'),
        shown(NEW_BOB, 3, 'three'),
      ],
      'once, in order',
    ],
    [
      'a message read that nobody said was',
      [
        ...good(),
        { kind: 'marked', instance: NEW_BOB, conversation: ROOM, seq: 2 },
        { kind: 'cursor', owner: 'bob read since 1', conversation: ROOM, seq: 3 },
      ],
      'cursors',
    ],
    [
      'a cursor that goes back',
      swap(good(), { kind: 'cursor', seq: 1 }, { kind: 'cursor', seq: 3 }),
      'cursors',
    ],
    [
      'a refused message that is in the log',
      changed({ kind: 'acked', text: 'three' }, { kind: 'failed', code: 'NOT_A_MEMBER' }),
      'one answer',
    ],
    [
      'a refusal that no client should meet',
      changed({ kind: 'acked', text: 'three' }, { kind: 'failed', code: 'INTERNAL' }),
      'nothing unexpected',
    ],
    ['a send without an answer', changed({ kind: 'acked', text: 'three' }, undefined), 'one answer'],
    [
      'a call that failed with INTERNAL',
      [...good(), { kind: 'call', instance: ANN, call: 'join', conversation: '', code: 'INTERNAL' }],
      'nothing unexpected',
    ],
    [
      'a client that gives up',
      changed({ kind: 'end' }, { why: 'ended', code: 'TOKEN_INVALID' }),
      'clients come back',
    ],
    [
      'a client that is put out by nobody',
      changed({ kind: 'end' }, { why: 'ended', code: 'SESSION_REPLACED' }),
      'clients come back',
    ],
    [
      'a client that lacks something',
      [...good(), { kind: 'stuck', instance: ANN, what: 'lacks a thing' }],
      'convergence',
    ],
    [
      'a server that ended by itself',
      [...good(), { kind: 'crash', process: 'state-0', what: 'ended' }],
      'no crash',
    ],
  ])('%s: is found', (_, history, rule) => {
    expect(rules(history)).toContain(rule);
  });

  test("a sender's message that overtook an earlier one: is found", () => {
    const history = swap(good(), { kind: 'send', text: 'one' }, { kind: 'send', text: 'two' });
    expect(rules(history)).toContain("a sender's order");
  });

  test('a message without an ack that every member has: no violation, and counted', () => {
    const history = changed({ kind: 'acked', text: 'three' }, { kind: 'failed', code: 'CLIENT_CLOSED' });
    history.push({ kind: 'end', instance: ANN, why: 'closed', code: '' });
    expect(judge(history)).toMatchObject({ violations: [], failed: { CLIENT_CLOSED: 1 }, unackedPresent: 1 });
  });

  test('a client that a newer one of its device put out: no violation', () => {
    const history = changed({ kind: 'end' }, { why: 'ended', code: 'SESSION_REPLACED' });
    const end = history.findIndex(({ kind }) => kind === 'end');
    const [entry] = history.splice(end, 1);
    history.splice(end + 1, 0, entry as Happening);
    expect(judge(history).violations).toEqual([]);
  });

  test('who leaves, is told, and comes again to a room: no violation', () => {
    const left: Happening = { kind: 'left', instance: NEW_BOB, conversation: ROOM, reason: 'left' };
    const again = [membership('bob', 'left', 3), membership('bob', 'joined', 3)];
    expect(judge([...good(), left, ...again]).violations).toEqual([]);
    // What it had been shown but not yet reported as delivered it may be shown again.
    expect(judge([...good(), left, ...again, shown(NEW_BOB, 3, 'three')]).violations).toEqual([]);
  });

  test('who was away for a while from a room that hides its past: the hole is no loss', () => {
    const history = changed({ kind: 'message', seq: 2 }, undefined);
    const away = [membership('bob', 'left', 1), membership('bob', 'joined', 2, 2)];
    const view = history.findIndex(({ kind }) => kind === 'view');
    const views = history
      .splice(view)
      .filter((entry) => entry.kind !== 'view' || entry.user === 'ann' || entry.seq > 2);
    expect(judge([...history, ...away, ...views]).violations).toEqual([]);
  });

  test('more violations than are listed: the rest is counted', () => {
    const many = Array.from(
      { length: 60 },
      (): Happening => ({ kind: 'crash', process: 'api', what: 'ended' }),
    );
    expect(judge([...good(), ...many])).toMatchObject({ more: 10, violations: { length: 50 } });
  });
});
