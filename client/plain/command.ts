/** What a command is, and what it may do. */
import type {
  Conversation,
  GochatClient,
  SendOptions,
  Sent,
  Target,
  UserSettingsVersion,
  WatchTargets,
} from '../sdk/mod.ts';
import { ClientError } from '../sdk/mod.ts';
import type { Printer } from './printer.ts';

/** The interface of the session to commands. */
export interface CommandSession {
  readonly client: GochatClient;
  readonly printer: Printer;
  /** The current conversation. @throws ClientError NO_CONVERSATION */
  readonly conversation: () => Conversation;
  /** Opens a conversation and makes it the current one; until then there is none. */
  readonly switchTo: (open: () => Promise<Conversation>) => Promise<void>;
  /** Sends a text to the current conversation; resolves when there is room for the next entry. */
  readonly say: (text: string, options?: SendOptions) => Promise<void>;
  /** Sends an entry to the current conversation; resolves when there is room for the next one. */
  readonly send: (make: (conversation: string) => Promise<Sent>) => Promise<void>;
  /** The last message that was said in the current conversation. @throws ClientError COMMAND_INVALID if there is none */
  readonly lastSaid: () => Target;
  /** Changes what is watched, and prints the state of it. */
  readonly watch: (change: Partial<WatchTargets>) => Promise<void>;
  /** Prints the settings after a change, unless it was printed as news before. */
  readonly showSettings: (settings: UserSettingsVersion) => void;
  /** Waits until all sends are answered. */
  readonly settle: () => Promise<void>;
}

/** The action of a line, or how it ends the session. @throws ClientError shown to the user */
export type Action = 'quit' | 'logout' | 'logout-everywhere' | ((session: CommandSession) => Promise<void>);

export interface Command {
  readonly usage: string;
  readonly help: string;
  /** `argument` is the rest of the line. */
  readonly run: 'quit' | 'logout' | ((session: CommandSession, argument: string) => Promise<void>);
}

export function invalid(what: string): ClientError {
  return ClientError.local('COMMAND_INVALID', { details: { what } });
}

/** Waits for earlier sends. Returns the id of the current conversation. */
export async function settled({ settle, conversation }: CommandSession): Promise<string> {
  await settle();
  return conversation().id;
}
