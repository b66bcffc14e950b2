/** The user's account: password, login sessions, closing, bots. */
import type { Bot as WireBot } from '../../proto/client.ts';
import { ClientError } from './errors.ts';
import type { Call, Result } from './requests.ts';

/** A login, with what has been logged in by its refresh token since. */
export interface LoginSession {
  readonly id: string;
  /** Name of the software, as it said. */
  readonly client: string;
  /** Network address of the login. */
  readonly address: string;
  /** Unix time, ms, as the next two. */
  readonly createdAtMs: number;
  /** Of the last refresh, else of the login. */
  readonly usedAtMs: number;
  readonly expiresAtMs: number;
  /** Whether this client is logged in by it. */
  readonly current: boolean;
}

/** A program's account that belongs to the user. */
export interface Bot {
  readonly id: string;
  readonly name: string;
  readonly displayName: string;
}

export interface BotWithToken extends Bot {
  /** `refreshToken` of the bot's client; it is shown once, and stays the same. */
  readonly token: string;
}

/** Every method rejects with a ClientError. */
export class Account {
  readonly #ask: (call: Call, key: bigint) => Promise<Result>;

  constructor(ask: (call: Call, key: bigint) => Promise<Result>) {
    this.#ask = ask;
  }

  /** Changes the password and ends the user's other sessions. */
  async changePassword(password: string, newPassword: string): Promise<void> {
    await this.#do({ $case: 'changePassword', changePassword: { password, newPassword } });
  }

  /** Returns the user's sessions, the last used first. */
  async sessions(): Promise<readonly LoginSession[]> {
    const { sessions } = await this.#get({ $case: 'listSessions', listSessions: {} }, 'sessions');
    return sessions.sessions.map(({ id, createdAtMs, usedAtMs, expiresAtMs, ...rest }) => ({
      ...rest,
      id: id.toString(),
      createdAtMs: Number(createdAtMs),
      usedAtMs: Number(usedAtMs),
      expiresAtMs: Number(expiresAtMs),
    }));
  }

  /** Ends a session with its connections. */
  async endSession(id: string): Promise<void> {
    if (!/^\d{1,19}$/.test(id))
      throw ClientError.local('ARGUMENT_INVALID', { details: { what: 'The session' } });
    await this.#do({ $case: 'endSession', endSession: { session: BigInt(id) } });
  }

  /** Closes the account for good, after which the connection ends. @param retract whether to retract all messages */
  async close(password: string, retract: boolean): Promise<void> {
    try {
      await this.#do({ $case: 'closeAccount', closeAccount: { password, retract } });
    } catch (error) {
      // The end of the connection may come before the answer.
      if (ClientError.from(error).code !== 'ACCOUNT_CLOSED') throw error;
    }
  }

  async createBot(name: string, displayName = ''): Promise<BotWithToken> {
    const { bot } = await this.#get({ $case: 'createBot', createBot: { name, displayName } }, 'bot');
    return { ...toBot(bot), token: bot.token };
  }

  async bots(): Promise<readonly Bot[]> {
    const { bots } = await this.#get({ $case: 'listBots', listBots: {} }, 'bots');
    return bots.bots.map(toBot);
  }

  /** Makes a new token for a bot, by name or id. The one of before is void. */
  async renewBotToken(bot: string): Promise<BotWithToken> {
    const call = { $case: 'renewBotToken', renewBotToken: { bot } } as const;
    const { bot: renewed } = await this.#get(call, 'bot');
    return { ...toBot(renewed), token: renewed.token };
  }

  /** Closes a bot, by name or id. */
  async closeBot(bot: string): Promise<void> {
    await this.#do({ $case: 'closeBot', closeBot: { bot } });
  }

  async #do(call: Call): Promise<void> {
    await this.#get(call, 'done');
  }

  async #get<Case extends Result['$case']>(
    call: Call,
    expected: Case,
  ): Promise<Extract<Result, { $case: Case }>> {
    const result = await this.#ask(call, 0n);
    if (result.$case !== expected) throw ClientError.local('FRAME_INVALID');
    return result as Extract<Result, { $case: Case }>;
  }
}

function toBot({ id, name, displayName }: WireBot): Bot {
  return { id: id.toString(), name, displayName };
}
