import { describe, expect, test } from 'vitest';
import { Account } from './account.ts';
import { ClientError } from './errors.ts';
import type { Call, Result } from './requests.ts';

const DONE: Result = { $case: 'done', done: {} };

/** An account whose calls are recorded and answered by `answer`. */
function answering(answer: () => Result) {
  const calls: Call[] = [];
  const account = new Account(async (call) => {
    calls.push(call);
    return answer();
  });
  return { account, calls };
}

describe('calls', () => {
  test('sessions: ids are strings, times are numbers', async () => {
    const session = {
      id: 2n ** 53n + 1n,
      client: 'a page',
      address: '10.0.0.1',
      createdAtMs: 1n,
      usedAtMs: 2n,
      expiresAtMs: 3n,
      current: true,
    };
    const { account, calls } = answering(() => ({ $case: 'sessions', sessions: { sessions: [session] } }));
    expect(await account.sessions()).toEqual([
      {
        id: '9007199254740993',
        client: 'a page',
        address: '10.0.0.1',
        createdAtMs: 1,
        usedAtMs: 2,
        expiresAtMs: 3,
        current: true,
      },
    ]);
    expect(calls).toEqual([{ $case: 'listSessions', listSessions: {} }]);
  });

  test('password, the end of a session, the end of a bot: what was given is sent', async () => {
    const { account, calls } = answering(() => DONE);
    await account.changePassword('old one', 'new one');
    await account.endSession('9007199254740993');
    await account.closeBot('builds');
    expect(calls).toEqual([
      { $case: 'changePassword', changePassword: { password: 'old one', newPassword: 'new one' } },
      { $case: 'endSession', endSession: { session: 2n ** 53n + 1n } },
      { $case: 'closeBot', closeBot: { bot: 'builds' } },
    ]);
  });

  test('bots: the token is told when it is made, and never in the list', async () => {
    const bot = { id: 7n, name: 'builds', displayName: 'Builds', token: 'gcr_1' };
    const shown = { id: '7', name: 'builds', displayName: 'Builds' };
    const one = answering(() => ({ $case: 'bot', bot }));
    expect(await one.account.createBot('builds')).toEqual({ ...shown, token: 'gcr_1' });
    expect(await one.account.renewBotToken('builds')).toEqual({ ...shown, token: 'gcr_1' });
    expect(one.calls).toEqual([
      { $case: 'createBot', createBot: { name: 'builds', displayName: '' } },
      { $case: 'renewBotToken', renewBotToken: { bot: 'builds' } },
    ]);
    const all = answering(() => ({ $case: 'bots', bots: { bots: [bot] } }));
    expect(await all.account.bots()).toEqual([shown]);
  });
});

describe('bad input and answers', () => {
  test.each(['', 'x', '-1', '1.5', ' 1', '1'.repeat(20)])(
    'a session %j: ARGUMENT_INVALID, and nothing is sent',
    async (id) => {
      const { account, calls } = answering(() => DONE);
      await expect(account.endSession(id)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
      expect(calls).toEqual([]);
    },
  );

  test('an answer to another call: FRAME_INVALID', async () => {
    const { account } = answering(() => DONE);
    await expect(account.sessions()).rejects.toMatchObject({ code: 'FRAME_INVALID' });
    await expect(account.createBot('builds')).rejects.toMatchObject({ code: 'FRAME_INVALID' });
  });

  test('closing: done too if the connection ends for it before the answer; other refusals reject', async () => {
    const closing = (code: string) =>
      answering(() => {
        throw new ClientError(code, '', false, 0);
      }).account.close('secret', true);
    await closing('ACCOUNT_CLOSED');
    await expect(closing('PASSWORD_WRONG')).rejects.toMatchObject({ code: 'PASSWORD_WRONG' });
    const { account, calls } = answering(() => DONE);
    await account.close('secret', true);
    expect(calls).toEqual([{ $case: 'closeAccount', closeAccount: { password: 'secret', retract: true } }]);
  });
});
