/** AccountService and ChatService: what the API server asks of state. */
import type { CallContext, Handlers } from '../../crpc/mod.ts';
import type { state } from '../../proto/mod.ts';
import { EvictionScope } from '../hot/hot-state.ts';
import type { Evictions } from '../session/evictions.ts';
import type { Accounts } from './accounts.ts';
import type { Actor, Membership } from './membership.ts';
import type { Rooms } from './rooms.ts';
import type { Tokens } from './tokens.ts';

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

/** Makes the handlers of ChatService; each verifies the caller's token. */
export function chatService(
  { rooms, membership }: { readonly rooms: Rooms; readonly membership: Membership },
  tokens: Tokens,
): Handlers<typeof state.ChatServiceService> {
  const callerOf = (context: CallContext): Actor => {
    const { user, name } = tokens.verifyBearer(context.header('authorization'));
    return { user, userName: name };
  };
  return {
    async createRoom(request, context) {
      return rooms.create(callerOf(context), request.name, request.hideHistory);
    },
    async joinRoom(request, context) {
      return membership.join(callerOf(context), request.room.toString());
    },
    async leaveRoom(request, context) {
      await membership.leave(callerOf(context), request.room);
      return {};
    },
    async removeMember(request, context) {
      await membership.remove(callerOf(context), request.room, request.user);
      return {};
    },
    async deleteRoom(request, context) {
      await membership.delete(callerOf(context), request.room);
      return {};
    },
    async listRooms(request, context) {
      const { user } = callerOf(context);
      return rooms.listRooms(user, request.after, request.limit);
    },
    async getMessages(request, context) {
      const { user } = callerOf(context);
      return rooms.history(user, request.conversation, request.beforeSeq, request.limit);
    },
  };
}
