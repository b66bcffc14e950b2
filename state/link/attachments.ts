/** The connections of one link: their logins, and their coming and going in the location map. */
import type { SessionId, UserId } from '../../common/mod.ts';
import { encodeConns, encodeRecord, link as wire, LinkKind } from '../../proto/mod.ts';
import type { Downlink } from '../session/downlink.ts';
import type { SessionEvent } from '../session/session-log.ts';
import { type Hold, holdName } from '../session/sessions.ts';
import type { LinkContext } from './link-context.ts';

/** Logins answered and not attached yet; the oldest is given up and released for a new one. */
const MAX_PENDING_HOLDS = 10_000;

export class Attachments {
  readonly #link: Downlink;
  readonly #context: LinkContext;
  /** Sessions claimed here whose connection is not attached yet. */
  readonly #holds = new Map<number, Hold>();
  /** Connections to be answered with ATTACHED at the end of the records. */
  #attached: number[] = [];

  constructor(link: Downlink, context: LinkContext) {
    this.#link = link;
    this.#context = context;
  }

  attach(attach: wire.Attach): void {
    const { conn } = attach;
    const hold = this.#holds.get(conn);
    this.#holds.delete(conn);
    const { locations, presence, evictions, sessionLog } = this.#context;
    const user = attach.user as UserId;
    const device = hold?.device ?? attach.device;
    const replaced = locations.attach(this.#link.index, {
      conn,
      user,
      userName: attach.userName,
      device,
      unnamed: attach.unnamedDevice,
      session: attach.session as SessionId,
      epoch: attach.epoch,
      token: attach.token,
      claimedHere: hold !== undefined,
    });
    presence.attached(user, attach.unnamedDevice ? '' : device);
    this.#note(user, attach.session as SessionId, device, 'attached', '');
    for (const { stream, conn: loser, session } of replaced) {
      const code = 'SESSION_REPLACED';
      stream.kick(loser, code);
      // The map has forgotten the loser, so that its kick finds nothing to note.
      sessionLog.add({ user, session, device, gateway: stream.peerName, what: 'kicked', detail: code });
    }
    // The order may have been given while the connection was logging in, or out of this node's sight.
    const order = evictions.orderFor(user, { device, token: attach.token, epoch: attach.epoch });
    if (order !== undefined) this.#link.kick(conn, order.code, order.reason);
    this.#attached.push(conn);
  }

  /** Answers what was attached since the last time. */
  confirm(): void {
    if (this.#attached.length === 0) return;
    this.#link.answer(encodeConns(LinkKind.ATTACHED, this.#attached));
    this.#attached = [];
  }

  login(login: wire.Login): void {
    const { sessions } = this.#context;
    sessions
      .login(login)
      .then((result) => {
        if (result.errorCode === '') {
          const hold = { user: login.user as UserId, device: holdName(login), epoch: result.epoch };
          if (this.#link.ended) {
            sessions.release(hold);
            return;
          }
          this.#keepHold(login.conn, hold);
        }
        this.#link.answer(encodeRecord(LinkKind.LOGIN_RESULT, wire.LoginResult.encode(result).finish()));
      })
      .catch((error: unknown) => {
        const { logger } = this.#context;
        logger.error({ err: error, gateway: this.#link.peerName }, 'login answer failed');
      });
  }

  /** @param left the connection ended on purpose: its user does not count as online for a while */
  detach(conn: number, left: boolean, what: SessionEvent['what'], detail: string): void {
    const { locations, sessions, presence } = this.#context;
    const hold = this.#holds.get(conn);
    if (hold !== undefined) {
      this.#holds.delete(conn);
      sessions.release(hold);
    }
    const was = locations.detach(this.#link.index, conn);
    if (was === undefined) return;
    this.#note(was.user, was.session, was.device, what, detail);
    if (!left) presence.dropped(was.user, was.unnamed ? '' : was.device);
    if (was.claimedHere) sessions.release({ user: was.user, device: was.device, epoch: was.epoch });
  }

  /** Forgets all connections. Their sessions stay held: the worker may live on without this stream. */
  forget(): void {
    this.#holds.clear();
    const { locations, presence } = this.#context;
    const { index } = this.#link;
    for (const { user, device } of locations.callersOf(index)) presence.dropped(user, device);
    locations.close(index);
  }

  /** Remembers a claim until its connection is attached, which may never happen. */
  #keepHold(conn: number, hold: Hold): void {
    if (this.#holds.size >= MAX_PENDING_HOLDS) {
      for (const [oldest, abandoned] of this.#holds) {
        this.#holds.delete(oldest);
        this.#context.sessions.release(abandoned);
        break;
      }
    }
    this.#holds.set(conn, hold);
  }

  #note(user: UserId, session: SessionId, device: string, what: SessionEvent['what'], detail: string): void {
    this.#context.sessionLog.add({ user, session, device, gateway: this.#link.peerName, what, detail });
  }
}
