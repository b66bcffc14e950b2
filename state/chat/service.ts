/** AccountService and ChatService: what the API server asks of state. */
import type { CallContext, Handlers } from '../../crpc/mod.ts';
import type { state } from '../../proto/mod.ts';
import { EvictionScope } from '../hot/hot-state.ts';
import type { Evictions } from '../session/evictions.ts';
import type { Accounts } from '../identity/accounts.ts';
import type { Actor, Membership } from './membership.ts';
import type { Requests } from './requests.ts';
import type { Rooms } from './rooms.ts';
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

/** Makes the handlers of ChatService; each verifies the caller's token, and waits for the user's turn. */
export function chatService(
  {
    rooms,
    membership,
    requests,
  }: { readonly rooms: Rooms; readonly membership: Membership; readonly requests: Pick<Requests, 'call'> },
  tokens: Tokens,
): Handlers<typeof state.ChatServiceService> {
  const ask = async <T>(context: CallContext, work: (caller: Actor) => Promise<T>): Promise<T> => {
    const { user, name } = tokens.verifyBearer(context.header('authorization'));
    return requests.call(user, () => work({ user, userName: name }));
  };
  return {
    createRoom: (request, context) =>
      ask(context, (caller) => membership.create(caller, request.name, request.hideHistory)),
    joinRoom: (request, context) =>
      ask(context, (caller) => membership.join(caller, request.room.toString())),
    leaveRoom: (request, context) =>
      ask(context, async (caller) => {
        await membership.leave(caller, request.room);
        return {};
      }),
    removeMember: (request, context) =>
      ask(context, async (caller) => {
        await membership.remove(caller, request.room, request.user);
        return {};
      }),
    deleteRoom: (request, context) =>
      ask(context, async (caller) => {
        await membership.delete(caller, request.room);
        return {};
      }),
    listRooms: (request, context) =>
      ask(context, ({ user }) => rooms.listRooms(user, request.after, request.limit)),
    getMessages: (request, context) =>
      ask(context, ({ user }) => rooms.history(user, request.conversation, request.beforeSeq, request.limit)),
  };
}
