import { describe, expect, test } from 'vitest';
import type { Happening } from './history.ts';
import { quiescentHistory, changed, judge, NEW_BOB, ROOM, rules, shown } from './sample-history.ts';

describe('an idle system', () => {
  /** Two unnamed clients of bob, of which the second one was shown nothing. */
  const unnamed = (): Happening[] => {
    const [first, second] = ['bob/1#1', 'bob/2#1'];
    const of = (instance: string): Happening[] => [
      { kind: 'start', instance, user: 'bob', device: '' },
      { kind: 'up', instance, gateway: 'gateway-0', resumed: false, tokenMs: 0 },
    ];
    const texts = ['one', 'two', 'three'];
    const history = quiescentHistory();
    history.splice(-1, 0, shown(first, 4, 'four'), {
      kind: 'cursor',
      owner: 'bob/ delivered',
      conversation: ROOM,
      seq: 4,
    });
    const before = [...of(first), ...of(second), ...texts.map((text, i) => shown(first, i + 1, text))];
    const up: Happening = { kind: 'up', instance: NEW_BOB, gateway: 'gateway-0', resumed: false, tokenMs: 0 };
    return [...history.slice(0, 4), ...before, ...history.slice(4), up].map((entry) =>
      entry.kind === 'quiescent' ? { ...entry, since: entry.since + before.length } : entry,
    );
  };

  test('what is sent is shown, read and stored: no violation', () => {
    expect(judge(quiescentHistory()).violations).toEqual([]);
  });

  test('a number of unread messages that is not a recount: is found; own and retracted ones are none', () => {
    const badge = (user: string, unread: number): Happening[] => [
      ...quiescentHistory(),
      { kind: 'badge', user, conversation: ROOM, readSeq: 1, lastSeq: 4, unread },
    ];
    expect(judge(badge('bob', 3)).violations).toEqual([]);
    expect(judge(badge('ann', 0)).violations).toEqual([]);
    expect(rules(badge('bob', 2))).toEqual(['badges']);
    expect(rules(badge('ann', 3))).toEqual(['badges']);
  });

  test('a delivered cursor that lags: is found', () => {
    const behind = changed({ kind: 'cursor', owner: 'ann/phone delivered' }, { seq: 3 }, quiescentHistory());
    expect(rules(behind)).toEqual(['cursors']);
    expect(
      rules(changed({ kind: 'cursor', owner: 'ann/phone delivered' }, undefined, quiescentHistory())),
    ).toEqual(['cursors']);
  });

  test('something that is watched and shown wrongly: is found', () => {
    const what = 'bob as offline';
    const stale: Happening = { kind: 'stale', instance: NEW_BOB, what };
    expect(rules([...quiescentHistory(), stale])).toEqual(['watches']);
  });

  test('a read cursor that lags: is found', () => {
    expect(
      rules(changed({ kind: 'cursor', owner: 'bob read since 1' }, { seq: 3 }, quiescentHistory())),
    ).toEqual(['cursors']);
  });

  test('cursors that lagged earlier: no violation', () => {
    const history = quiescentHistory().filter(({ kind }) => kind !== 'quiescent');
    const behind = changed({ kind: 'cursor', owner: 'ann/phone delivered' }, undefined, history);
    expect(judge(behind).violations).toEqual([]);
  });

  test('a client that is shown nothing, while another unnamed client of its user is shown it: is found', () => {
    expect(rules(unnamed())).toEqual(['no loss']);
  });

  test('the same earlier, or for a client that reconnected meanwhile: no violation', () => {
    expect(judge(unnamed().filter(({ kind }) => kind !== 'quiescent')).violations).toEqual([]);
    const up: Happening = {
      kind: 'up',
      instance: 'bob/2#1',
      gateway: 'gateway-0',
      resumed: false,
      tokenMs: 0,
    };
    expect(judge([...unnamed(), up]).violations).toEqual([]);
  });
});
