import { describe, expect, test } from 'vitest';
import type { Happening } from './history.ts';
import { ANN, BOB, changed, good, judge, NEW_BOB, rules } from './sample-history.ts';

const NOW = good().length;

interface Order {
  readonly what: 'kick' | 'revoke' | 'logout';
  readonly device?: string;
  readonly tokenMs?: number;
  readonly since?: number;
  readonly confirmed?: boolean;
}

/** Of bob, asked for and answered after the good history where nothing else is said. */
const order = ({ what, device = '', tokenMs = 1, since = NOW, confirmed = true }: Order): Happening => ({
  kind: 'order',
  what,
  user: 'bob',
  device,
  tokenMs,
  since,
  confirmed,
});
const up = (tokenMs: number): Happening => ({
  kind: 'up',
  instance: NEW_BOB,
  gateway: 'gateway-0',
  resumed: false,
  tokenMs,
});
/** The good history, in which bob's first client ends with a code. */
const ended = (code: string, ...orders: readonly Happening[]) => [
  ...orders,
  ...changed({ kind: 'end', instance: BOB }, { why: 'ended', code }),
];
/** The good history, in which bob's second client is connected before what follows, and half a minute passes. */
const livedOn = (...then: readonly Happening[]): Happening[] => {
  const history = [...good(), up(1), ...then];
  const passed = Array.from({ length: 30_010 }, (): Happening => ({ kind: 'down', instance: ANN, code: '' }));
  return [...history, ...passed];
};

describe('the end of a client that was evicted', () => {
  test.each<[what: string, code: string, given: Order]>([
    ['a kick', 'KICKED', { what: 'kick', since: 0 }],
    ['a kick of its device', 'KICKED', { what: 'kick', device: 'phone', since: 0 }],
    ['a kick that was not confirmed', 'KICKED', { what: 'kick', since: 0, confirmed: false }],
    ['a revocation', 'KICKED', { what: 'revoke', since: 0 }],
    ['a revocation, as it came again', 'TOKEN_REVOKED', { what: 'revoke', since: 0 }],
    ['a logout', 'LOGGED_OUT', { what: 'logout', since: 0 }],
  ])('%s: no violation', (_, code, given) => {
    expect(judge(ended(code, order(given))).violations).toEqual([]);
  });

  test.each<[what: string, history: Happening[]]>([
    ['there was no order', ended('KICKED')],
    ['it got another reason', ended('KICKED', order({ what: 'logout', since: 0 }))],
    ['the order was of another device', ended('KICKED', order({ what: 'kick', device: 'desk', since: 0 }))],
    ['the order came later', [...ended('KICKED'), order({ what: 'kick' })]],
  ])('%s: is found', (_, history) => {
    expect(rules(history)).toContain('no false eviction');
  });
});

describe('a client that lives on', () => {
  const LATER = NOW + 1;
  const EMPTIED: Happening = { kind: 'fault', name: 'Redis restarted empty', target: 'redis', holdMs: 0 };

  test.each<[what: string, given: Order]>([
    ['a kick', { what: 'kick', since: LATER }],
    ['a kick of its device', { what: 'kick', device: 'phone', since: LATER }],
    ['a revocation', { what: 'revoke', since: LATER }],
    ['the logout of its token', { what: 'logout', since: LATER }],
  ])('after %s: is found', (_, given) => {
    expect(rules(livedOn(order(given)))).toEqual(['evicted']);
  });

  test('with a revoked token, after a reconnect: is found', () => {
    expect(rules(livedOn(order({ what: 'revoke', since: LATER }), up(1)))).toEqual(['evicted']);
  });

  test('after a revocation that Redis has lost: is found', () => {
    const then = [order({ what: 'revoke', since: LATER }), EMPTIED];
    expect(rules(livedOn(...then))).toEqual(['evicted']);
  });

  test.each<[what: string, then: Happening[]]>([
    ['reconnected after a kick', [order({ what: 'kick', since: LATER }), up(1)]],
    ['a kick of another device', [order({ what: 'kick', device: 'desk', since: LATER })]],
    ['a newer token after a revocation', [order({ what: 'revoke', since: LATER }), up(LATER + 1)]],
    ['the logout of another token', [order({ what: 'logout', tokenMs: 2, since: LATER })]],
    ['not confirmed', [order({ what: 'kick', since: LATER, confirmed: false })]],
    ['Redis has lost the kick', [order({ what: 'kick', since: LATER }), EMPTIED]],
  ])('%s: no violation', (_, then) => {
    expect(judge(livedOn(...then)).violations).toEqual([]);
  });

  test('an order of the last half minute: no violation', () => {
    expect(judge([...good(), up(1), order({ what: 'kick', since: LATER })]).violations).toEqual([]);
  });
});
