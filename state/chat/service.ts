/** AccountService and ChatService: what the API server asks of state. */
import type { CallContext, Handlers } from '../../crpc/mod.ts';
import type { state } from '../../proto/mod.ts';
import type { Accounts } from './accounts.ts';
import type { Rooms } from './rooms.ts';
import type { Identity, Tokens } from './tokens.ts';

/** Makes the handlers of AccountService. */
export function accountService(
  accounts: Accounts,
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
  };
}

/** Makes the handlers of ChatService; each verifies the caller's token. */
export function chatService(rooms: Rooms, tokens: Tokens): Handlers<typeof state.ChatServiceService> {
  const callerOf = (context: CallContext): Promise<Identity> =>
    tokens.verifyBearer(context.header('authorization'));
  return {
    async createRoom(request, context) {
      const { user } = await callerOf(context);
      return rooms.create(user, request.name);
    },
    async joinRoom(request, context) {
      const { user } = await callerOf(context);
      return rooms.join(user, request.room.toString());
    },
    async listRooms(request, context) {
      const { user } = await callerOf(context);
      return rooms.listRooms(user, request.after, request.limit);
    },
    async getMessages(request, context) {
      const { user } = await callerOf(context);
      return rooms.history(user, request.conversation, request.beforeSeq, request.limit);
    },
  };
}
