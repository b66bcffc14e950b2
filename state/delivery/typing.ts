/** Typing notices: passed on to the other members, never stored, the first to be dropped. */
import type { ConversationId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { Caller } from '../session/location-map.ts';
import type { Fanout } from './fanout.ts';

export class Typing {
  readonly #fanout: Pick<Fanout, 'publishEphemeral'>;

  constructor(fanout: Pick<Fanout, 'publishEphemeral'>) {
    this.#fanout = fanout;
  }

  /** Notifies the other members of a small conversation. No effect if the caller is not known to be a member. */
  tell(conversation: ConversationId, { user, userName }: Caller, stopped: boolean): void {
    const typing = client.Typing.encode({ user, name: userName, stopped }).finish();
    const frame = encodeFrame(FrameType.TYPING, 0, conversation, typing);
    this.#fanout.publishEphemeral(conversation, user, frame);
  }
}
