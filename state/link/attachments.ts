/** The connections of one link: their logins, attachments and ends in the location map. */
import type { SessionId, UserId } from '../../common/mod.ts';
import { encodeConns, encodeRecord, link as wire, LinkKind } from '../../proto/mod.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Attachment, Replaced } from '../session/location-map.ts';
import type { SessionEvent } from '../explain/session-log.ts';
import { claimKey } from '../session/sessions.ts';
import type { LinkContext } from './link-context.ts';

/** Connections removed per event-loop turn; that takes some 5 ms. */
const MAX_FORGOTTEN = 4096;
/** Watches removed per turn, each of up to 508 edges. */
const MAX_UNWATCHED = 256;

export class Attachments {
  readonly #link: Downlink;
  readonly #context: LinkContext;
  /** Connections whose session is being claimed; those that end meanwhile are removed. */
  readonly #claiming = new Set<number>();
  /** Connections to confirm with ATTACHED at the end of the records. */
  #attached: number[] = [];

  constructor(link: Downlink, context: LinkContext) {
    this.#link = link;
    this.#context = context;
  }

  attach(attach: wire.Attach): void {
    const { unnamedDevice: unnamed, user, session } = attach;
    const ids = { user: user as UserId, session: session as SessionId };
    this.#attach({ ...attach, ...ids, unnamed, claimedHere: false });
    this.#attached.push(attach.conn);
  }

  /** Sends ATTACHED for the new attachments. */
  confirm(): void {
    if (this.#attached.length === 0) return;
    this.#link.answer(encodeConns(LinkKind.ATTACHED, this.#attached));
    this.#attached = [];
  }

  /** Claims the session, and attaches the connection if it is granted. */
  login(login: wire.Login): void {
    this.#claiming.add(login.conn);
    this.#context.sessions
      .login(login)
      .then((result) => this.#onClaim(login, result))
      .catch((error: unknown) => {
        const { logger } = this.#context;
        logger.error({ err: error, gateway: this.#link.peerName }, 'login answer failed');
      });
  }

  /** The connection has another access token: an order that has revoked it ends the connection. */
  renew({ conn, token }: wire.Renew): void {
    const renewed = this.#context.locations.renew(this.#link.index, conn, token);
    if (renewed !== undefined) this.#obey(renewed);
  }

  /** @param left whether the connection ended on purpose: its user goes offline without a grace period */
  detach(conn: number, left: boolean, what: SessionEvent['what'], detail: string): void {
    const { locations, presence, watches } = this.#context;
    this.#claiming.delete(conn);
    const slot = locations.slotOf(this.#link.index, conn);
    if (slot < 0) return;
    watches.remove(this.#link.index, conn);
    presence.during(locations.userAt(slot), () => this.#detach(conn, left, what, detail));
  }

  #detach(conn: number, left: boolean, what: SessionEvent['what'], detail: string): void {
    const { locations, sessions, presence } = this.#context;
    const idle = locations.isIdle(this.#link.index, conn);
    const was = locations.detach(this.#link.index, conn);
    if (was === undefined) return;
    this.#note(was.user, was.session, was.device, what, detail);
    if (left) presence.left(was.user);
    else presence.dropped(was.user, was.unnamed ? '' : was.device, idle);
    if (was.claimedHere) sessions.release({ user: was.user, device: was.device, epoch: was.epoch });
  }

  /**
   * Removes all connections of an ended stream, some in each turn of the event loop, as there may be very many. Their
   * sessions stay claimed: the worker may live on without this stream.
   */
  forget(): void {
    this.#claiming.clear();
    const { locations, presence, watches } = this.#context;
    const { index } = this.#link;
    // Before the connections, as the number of the stream is free then.
    if (!watches.removeStream(index, MAX_UNWATCHED)) {
      setImmediate(() => this.forget());
      return;
    }
    const gone = locations.close(index, MAX_FORGOTTEN);
    for (const { user, device, idle } of gone) {
      // The worker may have another stream by now.
      if (!locations.hasDevice(user, device)) presence.dropped(user, device, idle);
    }
    if (gone.length === MAX_FORGOTTEN) setImmediate(() => this.forget());
  }

  #onClaim(login: wire.Login, result: wire.LoginResult): void {
    const isHere = this.#claiming.delete(login.conn);
    if (result.errorCode === '') {
      const { epoch } = result;
      const user = login.user as UserId;
      const device = claimKey(login);
      if (!isHere) {
        this.#context.sessions.release({ user, device, epoch });
        return;
      }
      const session = result.session as SessionId;
      const unnamed = login.unnamedDevice;
      const userName = result.displayName;
      this.#context.lastSeen.note(user, Date.now());
      this.#attach(
        { ...login, user, userName, device, session, epoch, unnamed, claimedHere: true },
        login.client,
      );
    }
    this.#link.answer(encodeRecord(LinkKind.LOGIN_RESULT, wire.LoginResult.encode(result).finish()));
  }

  /** @param client name of its software, where it is known */
  #attach(attachment: Attachment, client = ''): void {
    const { user, device, unnamed, session } = attachment;
    const { locations, presence, sessionLog, watches } = this.#context;
    let replaced: readonly Replaced<Downlink>[] = [];
    presence.during(user, () => {
      replaced = locations.attach(this.#link.index, attachment);
      presence.attached(user, unnamed ? '' : device);
    });
    this.#note(user, session, device, 'attached', client);
    for (const { stream, conn: loser, session: lost } of replaced) {
      watches.remove(stream.index, loser);
      const code = 'SESSION_REPLACED';
      stream.kick(loser, code);
      // The map no longer has the loser, so its kick has nothing to log.
      sessionLog.add({ user, session: lost, device, gateway: stream.peerName, what: 'kicked', detail: code });
    }
    this.#obey(attachment);
  }

  /** Ends a connection that an order concerns: it may have been given during the login, or unknown to this node. */
  #obey({ conn, user, device, token, epoch }: Attachment): void {
    const order = this.#context.evictions.orderFor(user, { device, token, epoch });
    if (order !== undefined) this.#link.kick(conn, order.code, order.reason);
  }

  #note(user: UserId, session: SessionId, device: string, what: SessionEvent['what'], detail: string): void {
    this.#context.sessionLog.add({ user, session, device, gateway: this.#link.peerName, what, detail });
  }
}
