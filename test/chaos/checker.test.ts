import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Happening } from './history.ts';
import { RULES } from './rules.ts';
import {
  ANN,
  BOB,
  changed,
  good,
  entry,
  judge,
  logged,
  membership,
  NEW_BOB,
  ROOM,
  rules,
  sent,
  shown,
  swap,
} from './sample-history.ts';

test('docs/guarantees.md: says for each rule what violates it', () => {
  const page = readFileSync(new URL('../../docs/guarantees.md', import.meta.url), 'utf8');
  const [, table] = page.split('| rule | violated if |') as [string, string];
  const rows = [...(table.split('\n\n')[0] as string).matchAll(/^\| ([a-z][^|]*) \|/gm)];
  expect(rows.map(([, rule]) => rule)).toEqual(RULES);
});

describe('Checker', () => {
  test('a correct history: no violation, and the counts', () => {
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
    ['an acked message that the log lacks', changed({ kind: 'log', text: 'three' }, undefined), 'durable'],
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
      'one text',
    ],
    [
      'a hole in what was shown',
      changed({ kind: 'message', instance: BOB, seq: 1 }, undefined),
      'resume anywhere',
    ],
    ['a lost tail', changed({ kind: 'message', instance: NEW_BOB, seq: 3 }, undefined), 'no loss'],
    ['a conversation that a device was shown nothing of', changed({ kind: 'message' }, undefined), 'no loss'],
    ['a device that continues too late', changed({ kind: 'message', seq: 2 }, undefined), 'resume anywhere'],
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
      'messages shown to a user who is not a member',
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
      'a client that was not told that its user is no longer a member',
      [...good(), membership('bob', 'left', 3)],
      'told',
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
      'a message marked read that nobody reported as read',
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
      'expected codes',
    ],
    ['a send without an answer', changed({ kind: 'acked', text: 'three' }, undefined), 'one answer'],
    [
      'a call that failed with INTERNAL',
      [
        ...good(),
        { kind: 'call', instance: ANN, call: 'join', conversation: '', code: 'INTERNAL', since: 0 },
      ],
      'expected codes',
    ],
    [
      'a client that gives up',
      changed({ kind: 'end' }, { why: 'ended', code: 'TOKEN_INVALID' }),
      'no false eviction',
    ],
    [
      'a client that is forced to give up without a command',
      changed({ kind: 'end' }, { why: 'ended', code: 'SESSION_REPLACED' }),
      'no false eviction',
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
    expect(rules(history)).toContain("sender's order");
  });

  test('a message without an ack that every member has: no violation, and counted', () => {
    const history = changed({ kind: 'acked', text: 'three' }, { kind: 'failed', code: 'CLIENT_CLOSED' });
    history.push({ kind: 'end', instance: ANN, why: 'closed', code: '' });
    expect(judge(history)).toMatchObject({ violations: [], failed: { CLIENT_CLOSED: 1 }, unackedPresent: 1 });
  });

  test('a client replaced by a newer one of its device: no violation', () => {
    const history = changed({ kind: 'end' }, { why: 'ended', code: 'SESSION_REPLACED' });
    const end = history.findIndex(({ kind }) => kind === 'end');
    const [entry] = history.splice(end, 1);
    history.splice(end + 1, 0, entry as Happening);
    expect(judge(history).violations).toEqual([]);
  });

  test('a user who leaves a room, is told so, and rejoins: no violation', () => {
    const left: Happening = { kind: 'left', instance: NEW_BOB, conversation: ROOM, reason: 'left' };
    const again = [membership('bob', 'left', 3), membership('bob', 'joined', 3)];
    expect(judge([...good(), left, ...again]).violations).toEqual([]);
    // What it had been shown but not yet reported as delivered it may be shown again.
    expect(judge([...good(), left, ...again, shown(NEW_BOB, 3, 'three')]).violations).toEqual([]);
  });

  test('a user who was out of a room that hides its history: the gap is not a loss', () => {
    const history = changed({ kind: 'message', seq: 2 }, undefined);
    const away = [membership('bob', 'left', 1), membership('bob', 'joined', 2, 2)];
    const view = history.findIndex(({ kind }) => kind === 'view');
    const views = history
      .splice(view)
      .filter((entry) => entry.kind !== 'view' || entry.user === 'ann' || entry.seq > 2);
    expect(judge([...history, ...away, ...views]).violations).toEqual([]);
  });

  test('an acknowledgement from an earlier membership of a room that hides its history: older messages of others are not lost', () => {
    const late = (kind: 'log' | 'view', user: string, seq: number, text: string): Happening =>
      kind === 'log' ? logged(seq, text, user) : { kind, user, ...entry(seq, text) };
    // He sends four, is cut off, leaves on another device and rejoins; the ack reaches him, and then five.
    const history: Happening[] = [
      ...changed({ kind: 'message', seq: 3 }, undefined).filter(
        (entry) => entry.kind !== 'view' || entry.user === 'ann',
      ),
      sent('four', NEW_BOB),
      sent('five'),
      { kind: 'acked', instance: NEW_BOB, conversation: ROOM, text: 'four', seq: 4, id: '104' },
      { kind: 'acked', instance: ANN, conversation: ROOM, text: 'five', seq: 5, id: '105' },
      shown(ANN, 4, 'four'),
      shown(NEW_BOB, 5, 'five'),
      late('log', 'bob', 4, 'four'),
      late('log', 'ann', 5, 'five'),
      late('view', 'ann', 4, 'four'),
      late('view', 'ann', 5, 'five'),
    ];
    const away = [membership('bob', 'left', 4), membership('bob', 'joined', 4, 4)];
    expect(rules([...history, ...away, late('view', 'bob', 5, 'five')])).toEqual([]);
    expect(rules(history)).toEqual(['no loss']);
  });

  test('a named device: continues where the unnamed ones are, unless the store has its own cursor', () => {
    const history = changed({ kind: 'message', instance: NEW_BOB, seq: 2 }, undefined)
      // It was shown one, the other device all.
      .filter((entry) => !(entry.kind === 'message' && entry.instance === BOB && entry.seq === 2));
    const at = history.findIndex((entry) => entry.kind === 'start' && entry.instance === NEW_BOB);
    const other = 'bob/1#1';
    const unnamed: Happening[] = [
      { kind: 'start', instance: other, user: 'bob', device: '' },
      { kind: 'up', instance: other, gateway: 'gateway-0', resumed: false, tokenMs: 0 },
      ...['one', 'two', 'three'].map((text, i) => shown(other, i + 1, text)),
    ];
    expect(rules(history.toSpliced(at, 0, ...unnamed))).toEqual([]);
    const own: Happening = { kind: 'cursor', owner: 'bob/phone delivered', conversation: ROOM, seq: 1 };
    expect(rules(history.toSpliced(at, 0, ...unnamed, own))).toEqual(['resume anywhere']);
  });

  test('more violations than are listed: the rest is counted, and every rule is listed', () => {
    const many = Array.from(
      { length: 60 },
      (): Happening => ({ kind: 'crash', process: 'api', what: 'ended' }),
    );
    const stuck: Happening = { kind: 'stuck', instance: ANN, what: 'waits' };
    const { violations, more } = judge([...good(), ...many, stuck]);
    expect(violations).toHaveLength(21);
    expect(violations.at(-1)).toMatchObject({ rule: 'convergence' });
    expect(more).toBe(40);
  });
});

/** A send of ann, or a call, that is refused after the good history, in which messages proved her and bob members. */
const refusedSend = (code: string, of = 1): Happening[] => [
  ...good(),
  ...Array.from({ length: of }, (_, i) => sent(`more ${i}`)),
  { kind: 'failed', instance: ANN, conversation: ROOM, text: `more ${of - 1}`, code },
  // What else was under way came to its end with the client.
  { kind: 'end', instance: ANN, why: 'closed', code: '' },
];
const refusedCall = (call: string, code: string, peer?: string): Happening => ({
  kind: 'call',
  instance: ANN,
  call,
  conversation: ROOM,
  code,
  since: good().length,
  ...(peer !== undefined && { peer }),
});

describe('refusals', () => {
  const REASON = 'justified refusals';

  test.each<[what: string, history: Happening[]]>([
    ['a send', refusedSend('NOT_A_MEMBER')],
    ['a page of the log', [...good(), refusedCall('history', 'NOT_A_MEMBER')]],
    ['leaving', [...good(), refusedCall('leave', 'ROOM_NOT_FOUND')]],
    ["another member's removal", [...good(), refusedCall('remove', 'NOT_A_MEMBER', 'bob')]],
    ['a send while there is room in the outbox', refusedSend('OUTBOX_FULL', 1024)],
  ])('%s that a member is refused without cause: is found', (_, history) => {
    expect(rules(history)).toContain(REASON);
  });

  test.each<[what: string, history: Happening[]]>([
    [
      'who left meanwhile',
      [...refusedSend('NOT_A_MEMBER'), membership('ann', 'left', 3, 0, good().length + 1)],
    ],
    [
      'who left before, and came again',
      [
        ...refusedSend('NOT_A_MEMBER'),
        membership('ann', 'left', 3, 0, 20),
        membership('ann', 'joined', 3, 0, good().length + 1),
      ],
    ],
    [
      'who came at a moment whose commit nothing proves',
      [
        ...refusedSend('NOT_A_MEMBER'),
        membership('ann', 'left', 3, 0, 20),
        membership('ann', 'joined', 3, 0, 21),
      ],
    ],
    [
      'a user who removes one who has left',
      [
        ...good(),
        refusedCall('remove', 'NOT_A_MEMBER', 'bob'),
        { kind: 'left', instance: NEW_BOB, conversation: ROOM, reason: 'left' },
        membership('bob', 'left', 3, 0, good().length),
      ],
    ],
    ['whose outbox is full', refusedSend('OUTBOX_FULL', 1025)],
  ])('%s: is a justified refusal', (_, history) => {
    expect(rules(history)).not.toContain(REASON);
  });
});

describe('pages of the log', () => {
  const page = (seq: number, id = `10${seq}`): Happening => ({
    kind: 'page',
    instance: NEW_BOB,
    since: 0,
    ...entry(seq, 'two'),
    id,
  });
  const left: Happening[] = [
    { kind: 'left', instance: NEW_BOB, conversation: ROOM, reason: 'left' },
    membership('bob', 'left', 2),
  ];
  const upToTwo = changed({ kind: 'message', seq: 3 }, undefined).filter(
    (entry) => entry.kind !== 'view' || entry.user === 'ann',
  );

  test('reads of a member, and of a former member within its time: no violation', () => {
    expect(judge([...good(), page(2)]).violations).toEqual([]);
    expect(judge([...upToTwo, ...left, page(2)]).violations).toEqual([]);
  });

  test('a message from after it left: is found', () => {
    const three: Happening = { ...page(3), kind: 'page', text: 'three' } as Happening;
    expect(rules([...upToTwo, ...left, three])).toEqual(['members only']);
  });

  test('a message that the log lacks or has otherwise: is found', () => {
    expect(rules([...good(), page(2, '999')])).toEqual(['one order']);
    expect(rules([...good(), page(9)])).toContain('no phantom');
  });
});

describe('convergence', () => {
  test('later than allowed, or never: is found', () => {
    expect(rules(changed({ kind: 'converged' }, { ms: 1001 }))).toEqual(['in time']);
    expect(rules(changed({ kind: 'converged' }, undefined))).toEqual(['in time']);
  });
});
