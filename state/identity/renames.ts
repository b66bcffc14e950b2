/** Renames: display names that were changed on other nodes, which this one shows with what those users send. */
import type { Logger, UserId } from '../../common/mod.ts';
import type { AccountStore, Profile } from '../store/store.ts';

const INTERVAL_MS = 10_000;
/** How far each look goes back: over looks that have failed, and clocks that differ. */
const WINDOW_MS = 60_000;

export interface RenamesOptions {
  readonly store: Pick<AccountStore, 'profilesSince'>;
  readonly logger: Logger;
  /** Called several times for each change. */
  readonly onRenamed: (user: UserId, profile: Profile) => void;
}

export class Renames {
  readonly #options: RenamesOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RenamesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { store, logger, onRenamed } = this.#options;
    try {
      for (const [user, profile] of await store.profilesSince(Date.now() - WINDOW_MS))
        onRenamed(user, profile);
    } catch (error) {
      // Names are hints; the next look brings them.
      logger.debug({ err: error }, 'changed display names cannot be read');
    }
  }
}
