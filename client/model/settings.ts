/** The user's settings, alike on all devices. */
import type { ClientEvent, UserSettings, UserSettingsVersion } from '../sdk/mod.ts';
import type { ChatClient } from './chat-client.ts';
import { Source } from './source.ts';

export class Settings extends Source {
  readonly #client: ChatClient;
  #value: UserSettingsVersion | undefined;

  constructor(client: ChatClient) {
    super();
    this.#client = client;
  }

  /** Undefined until they are known. */
  get value(): UserSettingsVersion | undefined {
    return this.#value;
  }

  /** Changes some, at once here. Rejects with a ClientError, and they are as before. */
  async change(changes: Partial<UserSettings>): Promise<void> {
    const before = this.#value;
    if (before !== undefined) this.#put({ ...before, ...changes });
    try {
      this.learn(await this.#client.setSettings(changes));
    } catch (error) {
      this.#put(before);
      throw error;
    }
  }

  /** An event of the client. */
  take(event: ClientEvent): void {
    if (event.type === 'self') this.learn(event.settings);
  }

  /** The server has told them; undefined: they are as before. */
  learn(settings: UserSettingsVersion | undefined): void {
    if (settings !== undefined && settings.version >= (this.#value?.version ?? 0)) this.#put(settings);
  }

  #put(settings: UserSettingsVersion | undefined): void {
    this.#value = settings;
    this.changed();
  }
}
