/** Calls about what the devices of a user share: settings, mutes, drafts. The user's other devices are told. */
import { Buffer } from 'node:buffer';
import { GochatError, type UserId } from '../../common/mod.ts';
import {
  client,
  DEFAULT_SETTINGS,
  expectedOf,
  isSettingName,
  parseSetting,
  SETTING_NAMES,
} from '../../proto/mod.ts';
import type { Fanout } from '../delivery/fanout.ts';
import { selfFrame } from '../delivery/receipt-news.ts';
import { accessCheck } from '../policy.ts';
import type { Caller } from '../session/location-map.ts';
import type { Presence } from '../session/presence.ts';
import {
  MAX_DRAFTS,
  type PresenceStore,
  type SelfStore,
  type SettingChanges,
  type StoredSettings,
} from '../store/store.ts';
import { accept, conversationId, pageLimit, pageStart, wholeNumber } from './input.ts';

const READS = { most: 1000, standard: 500 };
/** Numbers in the page key. */
const READ_KEY = 1;
/** Longest draft, bytes of UTF-8. */
const MAX_DRAFT_BYTES = 4096;
/** Most characters of what a caller sent that an error shows. */
const MAX_SHOWN = 40;

export interface SelfStateOptions {
  readonly store: SelfStore & Pick<PresenceStore, 'noteSeen'>;
  readonly presence: Pick<Presence, 'isOnline'>;
  readonly fanout: Pick<Fanout, 'announceToDevices'>;
  /** Settings of a user have changed, on this node. */
  readonly onSettings: (user: UserId, settings: StoredSettings) => void;
}

/** Every method throws GochatErrors. */
export class SelfState {
  readonly #options: SelfStateOptions;

  constructor(options: SelfStateOptions) {
    this.#options = options;
  }

  async get({ user }: Caller, { after, limit }: client.GetSelf): Promise<client.Self> {
    const start = pageStart(after, READ_KEY);
    const page = await this.#options.store.selfOf(user, start, pageLimit(limit, READS));
    return {
      reads: page.reads.map(({ conversation, readSeq, readEpoch }) => ({
        conversation,
        deliveredSeq: 0n,
        readSeq: BigInt(readSeq),
        readEpoch: BigInt(readEpoch),
        thread: 0n,
      })),
      mutes: page.mutes.map(({ conversation, untilMs }) => ({ conversation, untilMs: BigInt(untilMs) })),
      drafts: page.drafts.map(({ conversation, text, atMs }) => ({
        conversation,
        text,
        atMs: BigInt(atMs),
      })),
      settings: page.settings && toSettings(page.settings),
      next: page.next ?? '',
    };
  }

  /** Mutes a conversation. */
  async mute({ user, device }: Caller, key: bigint, { untilMs }: client.SetMute): Promise<void> {
    const by = accessCheck('setMute', user);
    const until = wholeNumber(untilMs, 'until_ms');
    const conversation = conversationId(key);
    accept(
      conversation === undefined
        ? by.requirement.missing
        : await this.#options.store.setMute(conversation, by, until),
      key,
    );
    this.#tell(user, device, { mutes: [{ conversation: key, untilMs }] });
  }

  /** Stores a draft; an empty one removes it. @throws GochatError TEXT_TOO_LONG, DRAFTS_FULL */
  async saveDraft({ user, device }: Caller, key: bigint, { text }: client.SetDraft): Promise<client.Self> {
    if (Buffer.byteLength(text) > MAX_DRAFT_BYTES)
      throw new GochatError('TEXT_TOO_LONG', { details: { max: MAX_DRAFT_BYTES } });
    const by = accessCheck('setDraft', user);
    const conversation = conversationId(key);
    const saved =
      conversation === undefined
        ? by.requirement.missing
        : await this.#options.store.saveDraft(conversation, by, text, Date.now());
    if (saved === 'DRAFTS_FULL') throw new GochatError(saved, { details: { max: MAX_DRAFTS } });
    const { text: stored, atMs } = accept(saved, key);
    const drafts = [{ conversation: key, text: stored, atMs: BigInt(atMs) }];
    this.#tell(user, device, { drafts });
    return client.Self.create({ drafts });
  }

  /** Changes settings. @throws GochatError SETTING_INVALID, SETTINGS_CHANGED */
  async setSettings(
    { user, device }: Caller,
    { settings, ifVersion }: client.SetSettings,
  ): Promise<client.Settings> {
    const { store, presence, onSettings } = this.#options;
    const version = ifVersion === 0n ? undefined : wholeNumber(ifVersion, 'if_version');
    const changes = parseChanges(settings);
    // To others this is when the user went offline.
    if (changes.invisible === true && presence.isOnline(user))
      await store.noteSeen([{ user, atMs: Date.now() }]);
    const stored = await store.setSettings(user, changes, version, Date.now());
    if (stored === undefined) throw new GochatError('SETTINGS_CHANGED');
    onSettings(user, stored);
    const all = toSettings(stored);
    this.#tell(user, device, { settings: all });
    return all;
  }

  #tell(user: UserId, device: string, fields: Partial<client.Self>): void {
    this.#options.fanout.announceToDevices(user, selfFrame(fields), device);
  }
}

function parseChanges(settings: readonly client.Setting[]): SettingChanges {
  const changes = settings.map(({ name, value }) => {
    if (!isSettingName(name))
      throw new GochatError('SETTING_INVALID', {
        details: {
          name: name.slice(0, MAX_SHOWN),
          expected: `a value of ${SETTING_NAMES.join(', ')}`,
        },
      });
    const parsed = parseSetting(name, value);
    if (parsed === undefined)
      throw new GochatError('SETTING_INVALID', {
        details: { name, expected: expectedOf(name) },
      });
    return [name, parsed];
  });
  return Object.fromEntries(changes) as SettingChanges;
}

function toSettings({ version, values }: StoredSettings): client.Settings {
  const all = { ...DEFAULT_SETTINGS, ...values };
  return {
    version: BigInt(version),
    settings: SETTING_NAMES.map((name) => ({
      name,
      value: JSON.stringify(all[name]),
    })),
  };
}
