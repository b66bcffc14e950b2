/** Who is typing: told to the other members as it comes, kept nowhere, and the first thing to be left out. */
import type { ConversationId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Caller } from '../session/location-map.ts';
import type { Fanout } from './fanout.ts';

export class Typing {
  readonly #fanout: Pick<Fanout, 'publishEphemeral'>;

  constructor(fanout: Pick<Fanout, 'publishEphemeral'>) {
    this.#fanout = fanout;
  }

  /** Tells the other members of a small conversation. Without effect where the caller is no member, or is not known to be. */
  tell(
    link: Downlink,
    conn: number,
    conversation: ConversationId,
    { user, userName }: Caller,
    stopped: boolean,
  ): void {
    const typing = client.Typing.encode({ user, name: userName, stopped }).finish();
    const frame = encodeFrame(FrameType.TYPING, 0, conversation, typing);
    this.#fanout.publishEphemeral(conversation, user, frame, link, conn);
  }
}
