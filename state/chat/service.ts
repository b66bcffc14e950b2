/** AccountService and ChatService: the API server's calls to state. */
import type { Handlers } from '../../crpc/mod.ts';
import type { state } from '../../proto/mod.ts';
import { EvictionScope } from '../hot/hot-state.ts';
import type { Evictions } from '../session/evictions.ts';
import type { Accounts } from '../identity/accounts.ts';
import type { Posts } from './posts.ts';
import type { Requests } from './requests.ts';
import type { Tokens } from '../identity/tokens.ts';

/** Makes the handlers of AccountService. */
export function accountService(
  { accounts, evictions }: { readonly accounts: Accounts; readonly evictions: Evictions },
  tokens: Tokens,
): Handlers<typeof state.AccountServiceService> {
  return {
    async signup(request, context) {
      const account = await accounts.signup(request, () => context.isCancelled);
      return { user: account.id, name: account.name };
    },
    async login(request, context) {
      const { account, issued } = await accounts.login(request, tokens, () => context.isCancelled);
      return {
        user: account.id,
        name: account.name,
        token: issued.token,
        expiresAtMs: BigInt(issued.expiresAtMs),
      };
    },
    async logout(request, context) {
      const { user, token } = tokens.verifyBearer(context.header('authorization'));
      const order = { user, code: 'LOGGED_OUT', reason: '' } as const;
      if (request.everywhere) await evictions.revokeAll(order);
      else await evictions.evict({ ...order, scope: EvictionScope.TOKEN, token, device: '' });
      return {};
    },
  };
}

/** Makes the handlers of ChatService. They verify the caller's token; calls wait for the user's turn. */
export function chatService(
  { requests, posts }: { readonly requests: Pick<Requests, 'call'>; readonly posts: Pick<Posts, 'post'> },
  tokens: Tokens,
): Handlers<typeof state.ChatServiceService> {
  return {
    async call({ key, request }, context) {
      const { user, name } = tokens.verifyBearer(context.header('authorization'));
      return requests.call({ user, userName: name, device: '' }, key, request ?? { call: undefined });
    },
    async post({ key, send }, context) {
      const { user } = tokens.verifyBearer(context.header('authorization'));
      return posts.post(user, key, send);
    },
  };
}
