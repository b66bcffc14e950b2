/** What the api server asks of state; state-client-crpc.ts asks it over crpc. */
import type { client, state } from '../proto/mod.ts';

/** One caller's request on its way to state. */
export interface Caller {
  /** Value of the Authorization header, passed on unread; state verifies it. */
  readonly authorization: string;
}

/** The calls of state; each rejects with a GochatError. */
export interface StateClient {
  signup(request: state.SignupRequest): Promise<state.SignupResponse>;
  login(request: state.LoginRequest): Promise<state.LoginResponse>;
  logout(caller: Caller, request: state.LogoutRequest): Promise<state.LogoutResponse>;
  createRoom(caller: Caller, request: state.CreateRoomRequest): Promise<client.Conversation>;
  joinRoom(caller: Caller, request: state.JoinRoomRequest): Promise<client.Conversation>;
  leaveRoom(caller: Caller, request: state.LeaveRoomRequest): Promise<state.LeaveRoomResponse>;
  removeMember(caller: Caller, request: state.RemoveMemberRequest): Promise<state.RemoveMemberResponse>;
  deleteRoom(caller: Caller, request: state.DeleteRoomRequest): Promise<state.DeleteRoomResponse>;
  listRooms(caller: Caller, request: state.ListRoomsRequest): Promise<state.ListRoomsResponse>;
  getMessages(caller: Caller, request: state.GetMessagesRequest): Promise<client.HistoryPage>;
  /** Why no call can succeed now; undefined while state can be reached. */
  unavailable(): string | undefined;
  close(): Promise<void>;
}
