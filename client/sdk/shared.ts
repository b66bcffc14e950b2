/** What the devices of a user share: read cursors, mutes, drafts, settings. Fetched whole, and kept up by SELF. */
import type { Self, Settings as WireSettings, UserSettings } from '../../proto/client.ts';
import { toUserSettings } from '../../proto/client.ts';
import { toKey } from './convert.ts';
import { ClientError } from './errors.ts';
import type { Draft, Emitter, SharedState, UserSettingsVersion } from './events.ts';
import type { Call, Result } from './requests.ts';

export interface SharedParts {
  readonly ask: (call: Call, key: bigint) => Promise<Result>;
  readonly events: Emitter;
  /** The server has told read cursors. */
  readonly onReads: (reads: Self['reads']) => void;
}

export class Shared {
  readonly #parts: SharedParts;
  /** Whether the application has asked for the whole, and is told of changes while it was away. */
  #isFollowed = false;

  constructor(parts: SharedParts) {
    this.#parts = parts;
  }

  /** Fetches the whole, page by page. */
  async get(): Promise<SharedState> {
    this.#isFollowed = true;
    let whole: SharedState = { reads: [], mutes: [], drafts: [], settings: undefined };
    for (let after: string | undefined = ''; after !== undefined; ) {
      const getSelf = { after, limit: 0 };
      const result: Result = await this.#parts.ask({ $case: 'getSelf', getSelf }, 0n);
      if (result.$case !== 'self') throw ClientError.local('FRAME_INVALID');
      this.#parts.onReads(result.self.reads);
      const page = toShared(result.self);
      whole = { ...(after === '' ? page : whole), reads: [...whole.reads, ...page.reads] };
      after = result.self.next || undefined;
    }
    return whole;
  }

  async mute(conversation: string, untilMs: number): Promise<void> {
    const setMute = { untilMs: BigInt(Math.min(untilMs, Number.MAX_SAFE_INTEGER)) };
    await this.#parts.ask({ $case: 'setMute', setMute }, toKey(conversation));
  }

  async saveDraft(conversation: string, text: string): Promise<Draft> {
    const result = await this.#parts.ask({ $case: 'setDraft', setDraft: { text } }, toKey(conversation));
    const [draft] = result.$case === 'self' ? toShared(result.self).drafts : [];
    if (draft === undefined) throw ClientError.local('FRAME_INVALID');
    return draft;
  }

  async setSettings(changes: Partial<UserSettings>, ifVersion: number): Promise<UserSettingsVersion> {
    const settings = Object.entries(changes).map(([name, value]) => ({ name, value: JSON.stringify(value) }));
    const setSettings = { settings, ifVersion: BigInt(ifVersion) };
    const result = await this.#parts.ask({ $case: 'setSettings', setSettings }, 0n);
    if (result.$case !== 'settings') throw ClientError.local('FRAME_INVALID');
    return toSettings(result.settings);
  }

  /** SELF has come: another device has changed something. */
  changed(self: Self): void {
    this.#parts.onReads(self.reads);
    this.#parts.events.emit({ type: 'self', isWhole: false, ...toShared(self) });
  }

  /** After WELCOME and RESYNC changes may have been missed. */
  catchUp(): void {
    if (!this.#isFollowed) return;
    this.get().then(
      (whole) => this.#parts.events.emit({ type: 'self', isWhole: true, ...whole }),
      // The next WELCOME or RESYNC asks again.
      () => undefined,
    );
  }
}

function toShared({ reads, mutes, drafts, settings }: Self): SharedState {
  return {
    reads: reads.map(({ conversation, readSeq, readEpoch, thread }) => ({
      conversation: conversation.toString(),
      readSeq: Number(readSeq),
      readEpoch: Number(readEpoch),
      ...(thread !== 0n && { thread: Number(thread) }),
    })),
    mutes: mutes.map(({ conversation, untilMs }) => ({
      conversation: conversation.toString(),
      untilMs: Number(untilMs),
    })),
    drafts: drafts.map(({ conversation, text, atMs }) => ({
      conversation: conversation.toString(),
      text,
      atMs: Number(atMs),
    })),
    settings: settings && toSettings(settings),
  };
}

function toSettings({ version, settings }: WireSettings): UserSettingsVersion {
  return { ...toUserSettings(settings), version: Number(version) };
}
