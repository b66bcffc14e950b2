/** An action that may fail: whether it is under way, and the sentence that says why it failed. */
import { useState } from 'preact/hooks';
import { ClientError } from '../../sdk/mod.ts';

export interface Attempt {
  readonly isBusy: boolean;
  readonly error: string | undefined;
  /** Resolves with whether it has succeeded. */
  run(action: () => Promise<unknown>): Promise<boolean>;
}

export function useAttempt(): Attempt {
  const [state, set] = useState<{ isBusy: boolean; error: string | undefined }>({
    isBusy: false,
    error: undefined,
  });
  return {
    ...state,
    run: async (action) => {
      set({ isBusy: true, error: undefined });
      try {
        await action();
        set({ isBusy: false, error: undefined });
        return true;
      } catch (error) {
        set({ isBusy: false, error: ClientError.from(error).message });
        return false;
      }
    },
  };
}
