/** A state node without its network: composes sessions, delivery and chat, and runs gateway streams. */
import {
  type ConversationId,
  GochatError,
  type Logger,
  type MessageId,
  type SessionId,
  type UserId,
} from '../common/mod.ts';
import type { BatchStream } from '../crpc/mod.ts';
import { Accounts } from './identity/accounts.ts';
import { Bots } from './identity/bots.ts';
import { LoginSessions } from './identity/login-sessions.ts';
import { type NameOf, Profiles, shownName } from './identity/profiles.ts';
import { Renames } from './identity/renames.ts';
import { SettingsCache } from './identity/settings-cache.ts';
import { Closer } from './chat/closer.ts';
import { Eraser } from './chat/eraser.ts';
import { Log } from './chat/log.ts';
import { Membership } from './chat/membership.ts';
import { People } from './chat/people.ts';
import { Posts } from './chat/posts.ts';
import { Presences } from './chat/presences.ts';
import { OwnAccount } from './identity/own-account.ts';
import { Passwords } from './identity/passwords.ts';
import { Receipts } from './chat/receipts.ts';
import { callHandlers } from './chat/calls.ts';
import { Requests } from './chat/requests.ts';
import { Rooms } from './chat/rooms.ts';
import { SelfState } from './chat/self.ts';
import { Threads } from './chat/threads.ts';
import { Watching } from './chat/watching.ts';
import { Fanout } from './delivery/fanout.ts';
import { MemberNews } from './delivery/member-news.ts';
import { PresenceNews } from './delivery/presence-news.ts';
import { ReceiptNews } from './delivery/receipt-news.ts';
import { Replay } from './delivery/replay.ts';
import { SendParser } from './delivery/send-parser.ts';
import { Sequencer } from './delivery/sequencer.ts';
import { Typing } from './delivery/typing.ts';
import type { Eviction, HotState } from './hot/hot-state.ts';
import { CLOCK_SKEW_MS, DEFAULT_TOKEN_TTL_MS, type StateLimits } from './limits.ts';
import { Link } from './link/link.ts';
import type { LinkContext } from './link/link-context.ts';
import type { TracedWorker } from './explain/message-path.ts';
import { stateMetrics } from './metrics.ts';
import { DEFAULT_ENTRY_RULES, type EntryRules } from './policy.ts';
import type { Downlink } from './session/downlink.ts';
import { concerns, Evictions } from './session/evictions.ts';
import { LastSeen } from './session/last-seen.ts';
import { LocationMap } from './session/location-map.ts';
import { Presence } from './session/presence.ts';
import { ServerAdmin } from './identity/server-admin.ts';
import { SessionLog } from './explain/session-log.ts';
import { Sessions } from './session/sessions.ts';
import { WatchBook } from './session/watch-book.ts';
import { StallWatch } from './stall-watch.ts';
import type { CursorMove, RevocationStore, Store } from './store/store.ts';
import { Throttle } from './identity/throttle.ts';
import { TraceRing } from './explain/trace-ring.ts';

/** Source of ids. */
export interface IdSource {
  readonly available: boolean;
  /** @throws GochatError STATE_UNAVAILABLE while not available */
  next(): bigint;
  /** @throws GochatError STATE_UNAVAILABLE while not available */
  take(count: number): bigint[];
}

export interface StateNodeOptions {
  readonly store: Store;
  /** Store of revocations. @default only the hot state */
  readonly revocations?: RevocationStore | undefined;
  readonly hot: HotState;
  readonly ids: IdSource;
  readonly limits: StateLimits;
  readonly logger: Logger;
  /** What users may do with entries. @default DEFAULT_ENTRY_RULES */
  readonly rules?: EntryRules | undefined;
  /** Lifetime of access tokens, ms; revocations are kept slightly longer. @default 900000 */
  readonly tokenTtlMs?: number | undefined;
}

/** The parts of a node and the order in which they close. */
export class StateNode {
  readonly accounts: Accounts;
  readonly admin: ServerAdmin;
  readonly logins: LoginSessions;
  readonly log: Log;
  readonly rooms: Rooms;
  readonly membership: Membership;
  readonly requests: Requests;
  readonly posts: Posts;
  readonly evictions: Evictions;
  readonly locations = new LocationMap<Downlink>();
  readonly sessionLog = new SessionLog();
  readonly traces = new TraceRing();
  readonly #closer: Closer;
  readonly #eraser: Eraser;
  readonly #fanout: Fanout;
  readonly #sequencer: Sequencer;
  readonly #sessions: Sessions;
  readonly receipts: Receipts;
  readonly #receiptNews: ReceiptNews;
  readonly #memberNews: MemberNews;
  readonly #settings: SettingsCache;
  readonly #lastSeen: LastSeen;
  readonly #presence: Presence;
  readonly #presenceNews: PresenceNews;
  readonly #renames: Renames;
  readonly #linkContext: LinkContext;
  readonly #links = new Set<Link>();
  /** After a stall, sends that arrived meanwhile are not committed: another node may have refused them since. */
  readonly #stalls = new StallWatch((stalledMs) => {
    for (const open of this.#links) open.abandon(`the process stood still for ${Math.round(stalledMs)} ms`);
  });
  #closing = false;

  constructor(options: StateNodeOptions) {
    const { store, hot, ids, limits, logger } = options;
    const { locations } = this;
    const metrics = stateMetrics({
      sessions: () => locations.size,
      queueRows: () => this.#sequencer.queueRows,
      links: (version) => [...this.#links].filter((each) => each.version === version).length,
    });
    const profiles = new Profiles({ store, maxProfiles: limits.cachedProfiles });
    const nameOf: NameOf = (user) => profiles.known(user) || locations.userNameOf(user);
    this.#eraser = new Eraser(store, logger);
    const watches = new WatchBook();
    this.#fanout = new Fanout({ store, locations, watches, limits, metrics, logger });
    this.#sequencer = new Sequencer({
      store,
      fanout: this.#fanout,
      replay: new Replay({ store, fanout: this.#fanout, nameOf, logger, maxRuns: limits.queueRows }),
      traces: this.traces,
      rules: options.rules ?? DEFAULT_ENTRY_RULES,
      nameOf,
      onErasable: () => this.#eraser.erase(),
      limits,
      metrics,
      logger,
      nextIds: (count) => ids.take(count) as MessageId[],
      canMakeIds: () => ids.available,
    });
    this.evictions = new Evictions({
      hot,
      store: options.revocations,
      // A token from a node whose clock is ahead is valid this much longer on one that is behind.
      ttlMs: (options.tokenTtlMs ?? DEFAULT_TOKEN_TTL_MS) + 2 * CLOCK_SKEW_MS,
      logger,
      nextId: () => ids.next(),
      connectionsOf: (user) => locations.connectionsOf(user),
      onEvicted: (eviction) => this.#carryOut(eviction),
    });
    const settings = new SettingsCache({
      store,
      maxUsers: limits.cachedProfiles,
      logger,
      onChange: (user, before, after) => {
        if (before.invisible !== after.invisible) this.#presenceNews.visibilityChanged(user);
      },
    });
    this.#settings = settings;
    const lastSeen = new LastSeen({ store, logger });
    this.#lastSeen = lastSeen;
    const presence = new Presence({
      locations,
      graceMs: limits.sessionGraceMs,
      isWatched: (user) => watches.hasUser(user),
      onChange: (user) => this.#presenceNews.changed(user),
      onOffline: (user, atMs) => lastSeen.note(user, atMs),
    });
    this.#presence = presence;
    this.#presenceNews = new PresenceNews({
      store,
      settings,
      presence,
      lastSeen,
      watches,
      locations,
      logger,
    });
    const presences = new Presences({ store, settings, presence, lastSeen });
    this.#sessions = new Sessions({
      hot,
      profiles,
      evictions: this.evictions,
      limits,
      logger,
      nextSession: () => ids.next() as SessionId,
    });
    this.#receiptNews = new ReceiptNews({
      store,
      settings,
      watches,
      locations,
      fanout: this.#fanout,
      logger,
    });
    const onMoved = (moves: readonly CursorMove[]) => this.#receiptNews.moved(moves);
    this.receipts = new Receipts(store, limits, logger, onMoved);
    this.log = new Log({ store, profiles });
    this.rooms = new Rooms({ store, profiles, presences, settings, onMoved });
    this.#memberNews = new MemberNews({ store, watches, fanout: this.#fanout, logger });
    this.membership = new Membership({
      store,
      profiles,
      fanout: this.#fanout,
      memberNews: this.#memberNews,
      eraser: this.#eraser,
      nextConversation: () => ids.next() as ConversationId,
      nextIds: (count) => ids.take(count) as MessageId[],
    });
    this.#renames = new Renames({
      store,
      logger,
      onRenamed: (user, profile) => {
        profiles.learn(user, profile);
        locations.rename(user, shownName(profile));
      },
    });
    const people = new People({
      store,
      profiles,
      rename: (user, shown) => locations.rename(user, shown),
    });
    const self = new SelfState({
      store,
      presence,
      fanout: this.#fanout,
      onSettings: (user, stored) => settings.learn(user, stored),
    });
    const { log, rooms, membership } = this;
    this.logins = new LoginSessions({ store, evictions: this.evictions });
    const passwords = new Passwords(limits.hashing, limits.hashQueue);
    const nextUser = () => ids.next() as UserId;
    this.#closer = new Closer({
      store,
      logins: this.logins,
      membership,
      fanout: this.#fanout,
      profiles,
      erase: () => this.#eraser.erase(),
      nextIds: (count) => ids.take(count) as MessageId[],
      logger,
    });
    const onClosed = () => this.#closer.close();
    const { logins } = this;
    const ownAccount = new OwnAccount({
      store,
      passwords,
      logins,
      throttle: new Throttle(hot),
      guesses: limits.guessesPerNameAndAddress,
      onClosed,
    });
    const bots = new Bots({ store, logins, nextUser, onClosed });
    this.admin = new ServerAdmin({ store, passwords, logins });
    this.requests = new Requests(
      callHandlers({
        ownAccount,
        bots,
        admin: this.admin,
        log,
        people,
        rooms,
        membership,
        self,
        presences,
        threads: new Threads({ store, profiles }),
        metrics,
      }),
      limits,
    );
    const parser = new SendParser(limits.textBytes);
    this.posts = new Posts({
      sequencer: this.#sequencer,
      parser,
      profiles,
      maxTextBytes: limits.textBytes,
    });
    this.accounts = new Accounts({
      store,
      hot,
      passwords,
      limits,
      nextUser,
    });
    this.#linkContext = {
      locations,
      sessions: this.#sessions,
      evictions: this.evictions,
      presence,
      lastSeen,
      watches,
      watching: new Watching({ store, presences, settings }),
      fanout: this.#fanout,
      sessionLog: this.sessionLog,
      sequencer: this.#sequencer,
      requests: this.requests,
      receipts: this.receipts,
      typing: new Typing({ fanout: this.#fanout, settings }),
      sendParser: parser,
      stalls: this.#stalls,
      limits,
      metrics,
      logger,
    };
  }

  /** Starts background work: polling evictions and display names, erasing what is hidden, closing accounts, looking for stalls. */
  start(): void {
    this.#stalls.start();
    this.evictions.start();
    this.#eraser.erase();
    this.#closer.close();
    this.#renames.start();
    this.#settings.start();
  }

  /** Accepts the stream of a gateway worker. @throws GochatError SERVER_DRAINING, OVERLOADED */
  accept(stream: BatchStream): Link {
    if (this.#closing) throw new GochatError('SERVER_DRAINING');
    const accepted: Link = new Link(stream, this.#linkContext, () => this.#links.delete(accepted));
    this.#links.add(accepted);
    return accepted;
  }

  /** Streams of gateway workers. */
  get links(): Iterable<TracedWorker> {
    return this.#links;
  }

  /** Resumes when ids can be made again. */
  wake(): void {
    this.#sequencer.flush();
  }

  /** Refuses new sends, requests and logins. Resolves when accepted ones are committed, answered and pushed. */
  async drain(): Promise<void> {
    this.#closing = true;
    this.#sessions.drain();
    await Promise.all([
      this.#sequencer.drain().then(() => this.#fanout.settled()),
      this.requests.drain(),
      this.receipts.flush(),
      this.#lastSeen.flush(),
      this.#closer.stop(),
      this.#eraser.stop(),
    ]);
  }

  /** Ends the streams and the timers. */
  stop(): void {
    this.#closing = true;
    this.#stalls.stop();
    this.#sequencer.stop();
    this.#fanout.stop();
    this.receipts.stop();
    this.#receiptNews.stop();
    this.#memberNews.stop();
    this.#presenceNews.stop();
    this.#presence.stop();
    this.#settings.stop();
    this.#lastSeen.stop();
    this.evictions.stop();
    this.#renames.stop();
    void this.#closer.stop();
    void this.#eraser.stop();
    for (const open of this.#links) open.close();
  }

  /** Ends the connections that an order matches, on all gateways: every worker has a stream to this node. */
  #carryOut(eviction: Eviction): void {
    for (const located of this.locations.connectionsOf(eviction.user)) {
      if (concerns(eviction, located)) located.stream.kick(located.conn, eviction.code, eviction.reason);
    }
  }
}
