/** Bots: accounts of programs, which belong to a user and log in by a token of their own. */
import { GochatError, type UserId } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import type { Caller } from '../session/location-map.ts';
import type { Account, AccountStore, ListedAccount } from '../store/store.ts';
import { MAX_BOTS } from '../store/store.ts';
import { parseDisplayName } from './display-names.ts';
import type { LoginSessions } from './login-sessions.ts';
import { parseName, quoted } from './names.ts';

const DECIMAL = /^\d{1,20}$/;

export interface BotsOptions {
  readonly store: Pick<AccountStore, 'accountOf' | 'findAccount' | 'botsOf' | 'createBot' | 'closeAccount'>;
  readonly logins: Pick<LoginSessions, 'openForBot' | 'list' | 'endAll'>;
  readonly nextUser: () => UserId;
  /** Accounts were closed; the rest is to be done in the background. */
  readonly onClosed: () => void;
}

/** Every method throws GochatErrors. */
export class Bots {
  readonly #options: BotsOptions;

  constructor(options: BotsOptions) {
    this.#options = options;
  }

  /** Creates a bot with its token. @throws GochatError NAME_INVALID, NAME_TAKEN, DISPLAY_NAME_INVALID, BOTS_FULL, BOT_FORBIDDEN */
  async create({ user }: Caller, { name: input, displayName }: client.CreateBot): Promise<client.Bot> {
    const { store, nextUser } = this.#options;
    const name = parseName(input);
    const shown = parseDisplayName(displayName);
    await this.#checkOwner(user);
    const made = await store.createBot({ id: nextUser(), name, passwordHash: '' }, user, shown);
    if (made === 'BOTS_FULL') throw new GochatError(made, { details: { max: MAX_BOTS } });
    const bot = made === 'NAME_TAKEN' ? await this.#unused(user, name) : made;
    return this.#withToken({ ...bot, displayName: shown });
  }

  async list({ user }: Caller): Promise<client.Bots> {
    const bots = await this.#options.store.botsOf(user);
    return { bots: bots.map((bot) => toBot(bot, '')) };
  }

  /** Makes a new token; the one of before is void. @throws GochatError USER_NOT_FOUND */
  async renewToken({ user }: Caller, { bot }: client.RenewBotToken): Promise<client.Bot> {
    return this.#withToken(await this.#find(user, bot));
  }

  /** @throws GochatError USER_NOT_FOUND */
  async close({ user }: Caller, { bot }: client.CloseBot): Promise<void> {
    const { store, logins, onClosed } = this.#options;
    const { id } = await this.#find(user, bot);
    await store.closeAccount(id, undefined, false, Date.now());
    onClosed();
    await logins.endAll(id, 'ACCOUNT_CLOSED');
  }

  async #withToken(bot: Pick<ListedAccount, 'id' | 'name' | 'displayName'>): Promise<client.Bot> {
    const { refreshToken } = await this.#options.logins.openForBot(bot);
    return toBot(bot, refreshToken);
  }

  async #checkOwner(user: UserId): Promise<void> {
    const account = await this.#options.store.accountOf(user);
    if (account?.owner !== undefined) throw new GochatError('BOT_FORBIDDEN');
  }

  /** Returns a bot of the user whose token was never used: that of an earlier attempt whose answer was lost. */
  async #unused(owner: UserId, name: string): Promise<Account> {
    const { store, logins } = this.#options;
    const bot = await store.findAccount(name);
    if (bot?.owner === owner && bot.state === 'active') {
      const sessions = await logins.list(bot.id);
      if (sessions.every(({ createdAtMs, usedAtMs }) => createdAtMs === usedAtMs)) return bot;
    }
    throw new GochatError('NAME_TAKEN', { details: { name } });
  }

  async #find(owner: UserId, named: string): Promise<ListedAccount> {
    const bots = await this.#options.store.botsOf(owner);
    const id = DECIMAL.test(named) ? BigInt(named) : undefined;
    const bot = bots.find((each) => each.id === id || each.name === named.toLowerCase());
    if (bot === undefined) throw new GochatError('USER_NOT_FOUND', { details: { name: quoted(named) } });
    return bot;
  }
}

function toBot(bot: Pick<ListedAccount, 'id' | 'name' | 'displayName'>, token: string): client.Bot {
  return { id: bot.id, name: bot.name, displayName: bot.displayName || bot.name, token };
}
