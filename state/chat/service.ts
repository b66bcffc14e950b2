/** AccountService and ChatService: the API server's calls to state. */
import { GochatError, type UserId } from '../../common/mod.ts';
import type { Handlers } from '../../crpc/mod.ts';
import type { state } from '../../proto/mod.ts';
import type { Accounts } from '../identity/accounts.ts';
import type { LoginSessions, OpenSession } from '../identity/login-sessions.ts';
import { once, type OnceHotState } from './once.ts';
import type { Posts } from './posts.ts';
import type { Requests } from './requests.ts';
import type { Rooms } from './rooms.ts';
import type { Tokens } from '../identity/tokens.ts';

/** Makes the handlers of AccountService. */
export function accountService(
  { accounts, logins }: { readonly accounts: Accounts; readonly logins: LoginSessions },
  tokens: Tokens,
): Handlers<typeof state.AccountServiceService> {
  /** Adds an access token to a session. */
  const answer = async ({ refreshToken, expiresAtMs, ...identity }: OpenSession) => {
    const issued = await tokens.issue(identity);
    return {
      ...identity,
      token: issued.token,
      expiresAtMs: BigInt(issued.expiresAtMs),
      refreshToken,
      refreshExpiresAtMs: BigInt(expiresAtMs),
    };
  };
  return {
    async signup(request, context) {
      const account = await accounts.signup(request, () => context.isCancelled);
      return { user: account.id, name: account.name };
    },
    async login(request, context) {
      const account = await accounts.login(request, () => context.isCancelled);
      return answer(await logins.open(account, request));
    },
    async loginOpenId(request) {
      return answer(await logins.open(await accounts.openId(request), request));
    },
    async refresh({ refreshToken }) {
      return answer(await logins.refresh(refreshToken));
    },
    async logout({ everywhere, refreshToken }, context) {
      const header = context.header('authorization');
      const { user, session } =
        header === undefined && refreshToken !== ''
          ? await logins.refresh(refreshToken)
          : tokens.verifyBearer(header);
      if (everywhere) await logins.endAll(user, 'LOGGED_OUT');
      else await logins.end(user, session);
      return {};
    },
  };
}

export interface ChatServiceOptions {
  readonly requests: Pick<Requests, 'call'>;
  readonly posts: Pick<Posts, 'post'>;
  readonly rooms: Pick<Rooms, 'isListed'>;
}

/** Makes the handlers of ChatService. They verify the caller's token; calls wait for the user's turn. */
export function chatService(
  { requests, posts, rooms }: ChatServiceOptions,
  hot: OnceHotState,
  tokens: Tokens,
): Handlers<typeof state.ChatServiceService> {
  /** Hides conversations that the caller may not know of: rooms are listed for all, direct conversations are not. */
  const hiding = async <T>(user: UserId, key: bigint, answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      if (GochatError.known(error)?.code !== 'NOT_A_MEMBER' || (await rooms.isListed(user, key))) throw error;
      throw new GochatError('ROOM_NOT_FOUND', { details: { name: String(key) } });
    }
  };
  return {
    async call({ key, request, once: tie }, context) {
      const { user, name, session } = tokens.verifyBearer(context.header('authorization'));
      const caller = { user, userName: name, device: '', session };
      return once(hot, user, tie, () =>
        hiding(user, key, requests.call(caller, key, request ?? { call: undefined })),
      );
    },
    async post({ key, send, once: tie }, context) {
      const { user } = tokens.verifyBearer(context.header('authorization'));
      return once(hot, user, tie, () => hiding(user, key, posts.post(user, key, send)));
    },
  };
}
