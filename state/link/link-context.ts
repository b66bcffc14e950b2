/** The context shared by all links of a node. */
import type { Logger } from '../../common/mod.ts';
import type { Receipts } from '../chat/receipts.ts';
import type { Requests } from '../chat/requests.ts';
import type { Watching } from '../chat/watching.ts';
import type { Fanout } from '../delivery/fanout.ts';
import type { SendParser } from '../delivery/send-parser.ts';
import type { Sequencer } from '../delivery/sequencer.ts';
import type { Typing } from '../delivery/typing.ts';
import type { StateLimits } from '../limits.ts';
import type { StateMetrics } from '../metrics.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Evictions } from '../session/evictions.ts';
import type { LocationMap } from '../session/location-map.ts';
import type { LastSeen } from '../session/last-seen.ts';
import type { Presence } from '../session/presence.ts';
import type { SessionLog } from '../explain/session-log.ts';
import type { Sessions } from '../session/sessions.ts';
import type { WatchBook } from '../session/watch-book.ts';
import type { StallWatch } from '../stall-watch.ts';

export interface LinkContext {
  readonly locations: LocationMap<Downlink>;
  readonly sessions: Sessions;
  readonly evictions: Pick<Evictions, 'orderFor'>;
  readonly presence: Presence;
  readonly lastSeen: LastSeen;
  readonly watches: WatchBook;
  readonly watching: Watching;
  readonly fanout: Pick<Fanout, 'watchedBy'>;
  readonly sessionLog: SessionLog;
  readonly sequencer: Sequencer;
  readonly requests: Requests;
  readonly receipts: Receipts;
  readonly typing: Typing;
  readonly sendParser: SendParser;
  readonly stalls: Pick<StallWatch, 'check'>;
  readonly limits: StateLimits;
  readonly metrics: StateMetrics;
  readonly logger: Logger;
}
