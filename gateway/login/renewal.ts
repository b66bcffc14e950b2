/** AUTH: a live connection gets a newer access token of its user, and so lives longer. */
import type { CodeWithDetails, PlainErrorCode } from '../../common/mod.ts';
import { client, decodeHeader, encodeFrame, type FrameHeader, FrameType } from '../../proto/mod.ts';
import type { AdmissionControl } from '../connections/admission.ts';
import type { Connection } from '../connections/connection.ts';
import type { Deadlines } from '../connections/deadlines.ts';
import { nackFrame } from '../route/answers.ts';
import type { Uplink } from '../route/uplink.ts';
import type { Authenticator, Identity } from './authenticator.ts';
import type { TokenChecks } from './token-checks.ts';
import { decodePayload } from '../wire/payload.ts';

export interface RenewalContext {
  readonly authenticator: Pick<Authenticator, 'verifyToken'>;
  readonly checks: Pick<TokenChecks, 'add'>;
  readonly admission: Pick<AdmissionControl, 'chargeLogin'>;
  readonly uplink: Pick<Uplink, 'renew'>;
  readonly deadlines: Pick<Deadlines, 'onToken'>;
  send(connection: Connection, frame: Uint8Array): void;
}

export class Renewal {
  readonly #context: RenewalContext;
  /** Connections whose token waits to be checked. */
  readonly #waiting = new WeakSet<Connection>();

  constructor(context: RenewalContext) {
    this.#context = context;
  }

  /** Handles an AUTH of a live connection; AUTHED or NACK follows. It costs the account as much as a login. */
  onAuth(connection: Connection, frame: Uint8Array): void {
    const { authenticator, admission, checks } = this.#context;
    const header = decodeHeader(frame);
    const auth = decodePayload(client.Auth, frame);
    if (auth === undefined) return this.#refuse(connection, header, 'FRAME_INVALID');
    admission.chargeLogin(connection);
    if (this.#waiting.has(connection)) return this.#refuse(connection, header, 'RATE_LIMITED');
    const refused = checks.add(
      connection,
      () => authenticator.verifyToken(auth.token),
      (result) => this.#onChecked(connection, header, result),
    );
    if (refused === undefined) this.#waiting.add(connection);
    else this.#refuse(connection, header, refused);
  }

  #onChecked(connection: Connection, header: FrameHeader, result: Identity | PlainErrorCode): void {
    const { uplink, deadlines } = this.#context;
    this.#waiting.delete(connection);
    if (typeof result === 'string') return this.#refuse(connection, header, result);
    if (result.user !== connection.user) return this.#refuse(connection, header, 'TOKEN_INVALID');
    connection.token = result.token;
    deadlines.onToken(connection, result.expiresAtMs - Date.now());
    // If the token was revoked, a state node answers with KICK.
    uplink.renew(connection);
    const authed = client.Authed.encode({ tokenExpiresAtMs: BigInt(result.expiresAtMs) });
    this.#context.send(connection, encodeFrame(FrameType.AUTHED, header.ref, 0n, authed.finish()));
  }

  #refuse(connection: Connection, header: FrameHeader, said: PlainErrorCode | CodeWithDetails): void {
    const whole = typeof said === 'string' ? { code: said } : said;
    this.#context.send(connection, nackFrame(whole, header));
  }
}
