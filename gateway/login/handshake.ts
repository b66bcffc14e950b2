/** The handshake from HELLO to WELCOME: version, token, session, location map, room. */
import { randomBytes } from 'node:crypto';
import { type CodeWithDetails, isPlainErrorCode, type PlainErrorCode } from '../../common/mod.ts';
import {
  client,
  encodeFrame,
  frameRef,
  FrameType,
  frameType,
  type link as wire,
  PROTOCOL_VERSION,
} from '../../proto/mod.ts';
import { decodePayload } from '../wire/payload.ts';
import type { Authenticator, Identity } from './authenticator.ts';
import type { TokenChecks } from './token-checks.ts';
import { type Connection, type PendingLogin, Phase } from '../connections/connection.ts';
import type { Deadlines } from '../connections/deadlines.ts';
import type { AdmissionControl } from '../connections/admission.ts';
import { HEARTBEAT_JITTER, HEARTBEAT_STRETCH } from '../limits.ts';
import type { StateLink } from '../route/state-link.ts';
import type { Uplink } from '../route/uplink.ts';

const DEVICE_NAME = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_CLIENT_NAME_LENGTH = 64;
/** Ref of the join request; a client's own refs begin at 1. */
const JOIN_REF = 0;

/** Time to come back for logins that find too many waiting, ms. */
const LOGIN_BACKLOG_RETRY_MS = 5000;

/** The part of the worker that the handshake uses. */
export interface HandshakeContext {
  readonly authenticator: Pick<Authenticator, 'verify'>;
  readonly checks: Pick<TokenChecks, 'add'>;
  readonly admission: Pick<AdmissionControl, 'enterAccount' | 'takeLogin'>;
  readonly uplink: Pick<Uplink, 'login' | 'attach' | 'nodeOfUser' | 'forward' | 'readyLinks'>;
  readonly deadlines: Pick<Deadlines, 'onLogin' | 'onAttach' | 'onToken'>;
  connectionId(conn: number): bigint;
  /** Fields of WELCOME that are the same for all. */
  readonly welcome: Pick<client.Welcome, 'gateway' | 'maxFrameBytes'>;
  /** Longest text of a message now, bytes of UTF-8. */
  maxTextBytes(): number;
  /** Heartbeat interval of clients that ask for none, ms. */
  heartbeatIntervalMs(): number;
  close(connection: Connection, said: PlainErrorCode | CodeWithDetails, retryAfterMs?: number): void;
  send(connection: Connection, frame: Uint8Array): void;
  /** The account has logged in too often: `onLoginTurn` follows. */
  hold(connection: Connection): void;
  /** WELCOME was sent. */
  onLive(connection: Connection): void;
}

export class Handshake {
  readonly #context: HandshakeContext;
  /** Connections in the phases LOGIN, ATTACH and JOIN. */
  readonly #pending = new Set<Connection>();

  constructor(context: HandshakeContext) {
    this.#context = context;
  }

  /** Handles the first frame of a connection. */
  onFirstFrame(connection: Connection, frame: Uint8Array): void {
    const context = this.#context;
    const hello = frameType(frame) === FrameType.HELLO ? decodePayload(client.Hello, frame) : undefined;
    if (hello === undefined) return context.close(connection, 'HELLO_EXPECTED');
    const { versionMin: min, versionMax: max } = hello;
    if (min > PROTOCOL_VERSION || max < PROTOCOL_VERSION) {
      const details = { min, max, version: PROTOCOL_VERSION };
      return context.close(connection, { code: 'VERSION_UNSUPPORTED', details });
    }
    if (hello.device !== '' && !DEVICE_NAME.test(hello.device))
      return context.close(connection, 'DEVICE_INVALID');
    connection.unnamedDevice = hello.device === '';
    connection.device = hello.device === '' ? `unnamed-${randomBytes(8).toString('hex')}` : hello.device;
    connection.heartbeatMs = heartbeatMs(hello.heartbeatIntervalMs, context.heartbeatIntervalMs());
    connection.login = {
      resumeSession: hello.session,
      run: hello.run,
      attempt: hello.attempt,
      room: hello.room,
      client: nameOf(hello.client),
      link: undefined,
      resumed: false,
      tokenExpiresAtMs: 0,
      handle: '',
      conversation: undefined,
      awaited: [],
    };
    connection.phase = Phase.TOKEN;
    context.deadlines.onLogin(connection);
    const { token, ticket } = hello;
    const refused = context.checks.add(
      connection,
      () => context.authenticator.verify(token, ticket),
      (result) => this.#onIdentity(connection, result),
    );
    if (refused === 'OVERLOADED')
      context.close(connection, refused, Math.round(LOGIN_BACKLOG_RETRY_MS * (1 + Math.random())));
    else if (refused !== undefined) context.close(connection, refused);
  }

  /** It is a throttled login's turn. */
  onLoginTurn(connection: Connection): void {
    if (this.#context.admission.takeLogin(connection)) this.#begin(connection);
  }

  /** A node has answered. If it grants the session, it knows the connection. */
  onLoginResult(link: StateLink, connection: Connection | undefined, result: wire.LoginResult): void {
    const login = connection?.login;
    // The late answer of a silent node is ignored.
    if (connection?.phase !== Phase.LOGIN || login?.link !== link) return;
    if (result.errorCode !== '') {
      const code = isPlainErrorCode(result.errorCode) ? result.errorCode : 'INTERNAL';
      this.#context.close(connection, code, result.retryAfterMs || undefined);
      return;
    }
    connection.session = result.session;
    connection.epoch = result.epoch;
    login.resumed = result.resumed;
    connection.userName = result.displayName;
    connection.phase = Phase.ATTACH;
    login.awaited = this.#context.uplink.attach(connection, login.link);
    login.link = undefined;
    if (login.awaited.length > 0) this.#context.deadlines.onAttach(connection);
    else this.#proceed(connection, login);
  }

  onAttached(link: StateLink, connection: Connection | undefined): void {
    const login = connection?.login;
    if (connection?.phase !== Phase.ATTACH || login === undefined) return;
    login.awaited = login.awaited.filter((awaited) => awaited !== link);
    if (login.awaited.length === 0) this.#proceed(connection, login);
  }

  /** ATTACH_TIMEOUT_MS has passed: nodes whose ATTACHED comes late cause a resync. */
  onAttachOverdue(connection: Connection): void {
    const { login } = connection;
    if (login === undefined) return;
    for (const link of login.awaited) link.expectLate(connection.conn);
    login.awaited = [];
    this.#proceed(connection, login);
  }

  /** Requests to this node are repeated to another one. */
  onLinkEnded(link: StateLink): void {
    for (const connection of this.#pending) {
      if (connection.phase === Phase.ATTACH) this.onAttached(link, connection);
      else if (connection.login?.link !== link) continue;
      else if (connection.phase === Phase.JOIN) this.#join(connection);
      else this.#login(connection);
    }
  }

  /** The sessions that were asked of this node are asked of others, if there are any. */
  onSilent(link: StateLink): void {
    for (const connection of this.#pending) {
      if (connection.phase !== Phase.LOGIN || connection.login?.link !== link) continue;
      if (this.#context.uplink.nodeOfUser(connection.user) === link) continue;
      // A claim that it still makes is given back.
      link.detach(connection.conn, true);
      this.#login(connection);
    }
  }

  /**
   * Handles frames from state for a connection that joins its room: the answer, or pushes, which its first sync will
   * find.
   */
  onJoining(connection: Connection, frame: Uint8Array): void {
    const { login } = connection;
    if (login === undefined || frameRef(frame) !== JOIN_REF) return;
    if (frameType(frame) === FrameType.RESPONSE) {
      const result = decodePayload(client.Response, frame)?.result;
      if (result?.$case !== 'conversation') return this.#context.close(connection, 'INTERNAL');
      connection.room = result.conversation.id;
      login.conversation = result.conversation;
      this.#welcome(connection, login);
    } else if (frameType(frame) === FrameType.NACK) {
      const { code = '', retryAfterMs } = decodePayload(client.Nack, frame) ?? {};
      this.#context.close(connection, joinRefusal(code, login.room), retryAfterMs || undefined);
    }
  }

  /** The connection is closing. */
  forget(connection: Connection): void {
    this.#pending.delete(connection);
    connection.login = undefined;
  }

  #onIdentity(connection: Connection, identity: Identity | PlainErrorCode): void {
    const { login } = connection;
    if (login === undefined) return;
    if (typeof identity === 'string') return this.#context.close(connection, identity);
    connection.user = identity.user;
    login.handle = identity.userName;
    connection.token = identity.token;
    login.tokenExpiresAtMs = identity.expiresAtMs;
    this.#context.deadlines.onToken(connection, identity.expiresAtMs - Date.now());
    this.#context.admission.enterAccount(connection);
    if (this.#context.admission.takeLogin(connection)) this.#begin(connection);
    else this.#context.hold(connection);
  }

  #begin(connection: Connection): void {
    connection.phase = Phase.LOGIN;
    this.#pending.add(connection);
    this.#login(connection);
  }

  #login(connection: Connection): void {
    const { conn, user, device, unnamedDevice, login, token } = connection;
    if (login === undefined) return;
    login.link = this.#context.uplink.login({
      conn,
      connection: this.#context.connectionId(conn),
      user,
      userName: login.handle,
      device,
      resumeSession: login.resumeSession,
      run: login.run,
      attempt: login.attempt,
      token,
      unnamedDevice,
      client: login.client,
    });
    if (login.link === undefined) this.#context.close(connection, 'STATE_UNAVAILABLE');
  }

  #proceed(connection: Connection, login: PendingLogin): void {
    if (this.#context.uplink.readyLinks === 0) return this.#context.close(connection, 'STATE_UNAVAILABLE');
    if (login.room === '') return this.#welcome(connection, login);
    connection.phase = Phase.JOIN;
    this.#context.deadlines.onLogin(connection);
    this.#join(connection);
  }

  /** Sends the join in the client's name; joining twice is harmless. */
  #join(connection: Connection): void {
    const { uplink } = this.#context;
    const login = connection.login as PendingLogin;
    const call = { $case: 'joinRoom' as const, joinRoom: { room: login.room } };
    const request = encodeFrame(FrameType.REQUEST, JOIN_REF, 0n, client.Request.encode({ call }).finish());
    login.link = uplink.nodeOfUser(connection.user);
    if (typeof uplink.forward(connection, request) === 'string')
      this.#context.close(connection, 'STATE_UNAVAILABLE');
  }

  #welcome(connection: Connection, login: PendingLogin): void {
    this.#pending.delete(connection);
    connection.login = undefined;
    connection.phase = Phase.LIVE;
    const welcome = client.Welcome.encode({
      ...this.#context.welcome,
      maxTextBytes: this.#context.maxTextBytes(),
      version: PROTOCOL_VERSION,
      heartbeatIntervalMs: connection.heartbeatMs,
      session: connection.session,
      user: connection.user,
      userName: login.handle,
      device: connection.device,
      connection: this.#context.connectionId(connection.conn),
      serverTimeMs: BigInt(Date.now()),
      resumed: login.resumed,
      conversation: login.conversation,
      tokenExpiresAtMs: BigInt(login.tokenExpiresAtMs),
      displayName: connection.userName,
    });
    this.#context.send(connection, encodeFrame(FrameType.WELCOME, 0, 0n, welcome.finish()));
    this.#context.onLive(connection);
  }
}

/** Returns the refusal for the code of state's answer to a join. */
function joinRefusal(code: string, room: string): CodeWithDetails {
  if (isPlainErrorCode(code)) return { code };
  if (code === 'ROOM_NOT_FOUND' || code === 'NAME_INVALID') return { code, details: { name: room } };
  return code === 'ARGUMENT_INVALID' ? { code, details: { what: 'The room' } } : { code: 'INTERNAL' };
}

/** Returns the name of a client's software for logs: printable ASCII, of the length that the protocol allows. */
function nameOf(software: string): string {
  return software.slice(0, MAX_CLIENT_NAME_LENGTH).replace(/[^ -~]/g, '?');
}

/** Returns the heartbeat interval. @param wanted 0: the gateway's own */
export function heartbeatMs(wanted: number, own: number, random: () => number = Math.random): number {
  const granted = Math.min(Math.max(wanted || own, own / HEARTBEAT_STRETCH), own * HEARTBEAT_STRETCH);
  return Math.round(granted * (1 - random() * HEARTBEAT_JITTER));
}
