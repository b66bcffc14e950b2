/** A state node for tests: keeps no log, grants every session, and sends each message to all connections. */
import { randomUUID } from 'node:crypto';
import { silentLogger } from '../../common/mod.ts';
import {
  type BatchStream,
  type BatchStreamHandler,
  CrpcServer,
  type Registration,
  type Registry,
} from '../../crpc/mod.ts';
import {
  client,
  decodeConns,
  decodeHeader,
  decodeWatch,
  encodeConns,
  encodeDeliverHead,
  encodeFrame,
  encodeRecord,
  encodeWatchResult,
  FRAME_RECORD_HEADER_BYTES,
  framePayload,
  FrameType,
  link as wire,
  LINK_PROTOCOL,
  LinkKind,
  readU32,
  type WatchRecord,
} from '../../proto/mod.ts';

/** The state node's side of a worker's stream. */
export class FakeStateStream implements BatchStreamHandler {
  readonly stream: BatchStream;
  readonly attached = new Map<number, wire.Attach>();
  open: wire.Open | undefined;
  ready = false;
  readonly #state: FakeState;

  constructor(stream: BatchStream, state: FakeState) {
    this.stream = stream;
    this.#state = state;
  }

  onRecords(records: readonly Uint8Array[]): void {
    for (const record of records) this.#onRecord(record);
  }

  onEnd(): void {
    this.#state.streams.delete(this);
  }

  deliver(conns: readonly number[], frame: Uint8Array): void {
    if (conns.length > 0) this.stream.send(encodeDeliverHead(conns), frame);
  }

  /** Confirms all attached connections. */
  attachedAll(): void {
    this.stream.send(encodeConns(LinkKind.ATTACHED, [...this.attached.keys()]));
  }

  kick(conn: number, code: string, reason = ''): void {
    this.stream.send(encodeRecord(LinkKind.KICK, wire.Kick.encode({ conn, code, reason }).finish()));
  }

  fence(conns: readonly number[]): void {
    this.stream.send(encodeConns(LinkKind.FENCE, conns));
  }

  #onRecord(record: Uint8Array): void {
    const body = record.subarray(1);
    if (record[0] === LinkKind.OPEN) this.open = wire.Open.decode(body);
    else if (record[0] === LinkKind.READY) this.ready = true;
    else if (record[0] === LinkKind.ATTACH) {
      const attach = wire.Attach.decode(body);
      this.attached.set(attach.conn, attach);
      if (this.#state.answersAttach) this.stream.send(encodeConns(LinkKind.ATTACHED, [attach.conn]));
    } else if (record[0] === LinkKind.WATCH) this.#state.onWatch(this, decodeWatch(record) as WatchRecord);
    else if (record[0] === LinkKind.RENEW) this.#state.renewals.push(wire.Renew.decode(body));
    else if (record[0] === LinkKind.DETACH)
      for (const conn of decodeConns(record)) this.attached.delete(conn);
    else if (record[0] === LinkKind.LOGIN) this.#state.onLogin(this, wire.Login.decode(body));
    else if (record[0] === LinkKind.FRAME)
      this.#state.onFrame(this, readU32(record, 1), record.subarray(FRAME_RECORD_HEADER_BYTES));
  }
}

export class FakeState implements AsyncDisposable {
  readonly streams = new Set<FakeStateStream>();
  readonly logins: wire.Login[] = [];
  readonly renewals: wire.Renew[] = [];
  /** Frames of clients, in order of arrival. */
  readonly frames: { readonly conn: number; readonly type: number; readonly key: bigint }[] = [];
  /** WATCH records that came, newest last. */
  readonly watches: WatchRecord[] = [];
  /** Whether WATCHes are confirmed, or answered at the user's node. */
  answersWatch = true;
  /** Whether WATCHes are accepted. */
  acceptsWatch = true;
  answersAttach = true;
  /** Code with which logins are refused; empty: none is. */
  refuses = '';
  /** Whether logins are answered. */
  answersLogin = true;
  /** Whether joins of a room are answered. */
  answersJoin = true;
  readonly #server: CrpcServer;
  #registration: Registration | undefined;
  #seq = 0n;
  #session = 0n;

  private constructor() {
    this.#server = new CrpcServer({ logger: silentLogger, host: '127.0.0.1', port: 0 });
    const accept = (stream: BatchStream) => {
      const accepted = new FakeStateStream(stream, this);
      this.streams.add(accepted);
      return accepted;
    };
    this.#server.addBatchService(wire.LinkServiceService, accept, { protocol: LINK_PROTOCOL });
  }

  static async start(registry?: Registry): Promise<FakeState> {
    const state = new FakeState();
    await state.#server.start();
    const endpoint = {
      id: randomUUID(),
      address: state.address,
      weight: 1,
      zone: '',
      version: '',
      metadata: {},
      load: {},
    };
    state.#registration = await registry?.register('state', endpoint);
    return state;
  }

  get address(): string {
    return this.#server.address;
  }

  onLogin(from: FakeStateStream, login: wire.Login): void {
    this.logins.push(login);
    if (!this.answersLogin) return;
    const session = login.resumeSession === 0n ? ++this.#session : login.resumeSession;
    const epoch = ++this.#session;
    const { conn, user, userName, device, unnamedDevice, token } = login;
    const attach = { conn, user, userName, device, unnamedDevice, token, session, epoch };
    if (this.refuses === '') from.attached.set(conn, attach);
    const result = {
      conn,
      errorCode: this.refuses,
      session,
      epoch,
      resumed: login.resumeSession !== 0n,
      retryAfterMs: 0,
      displayName: `${userName} the user`,
    };
    from.stream.send(encodeRecord(LinkKind.LOGIN_RESULT, wire.LoginResult.encode(result).finish()));
  }

  onWatch(from: FakeStateStream, watch: WatchRecord): void {
    this.watches.push(watch);
    const { conn, number, ref, isHome } = watch;
    if (!this.answersWatch) return;
    if (!isHome) {
      if (number !== 0) from.stream.send(encodeConns(LinkKind.WATCHING, [conn, number]));
      return;
    }
    from.stream.send(encodeWatchResult(conn, number, this.acceptsWatch));
    const nack = client.Nack.encode(client.Nack.fromPartial({ code: 'NOT_VISIBLE' })).finish();
    const frame = this.acceptsWatch
      ? encodeFrame(FrameType.WATCHED, ref, 0n)
      : encodeFrame(FrameType.NACK, ref, 0n, nack);
    from.deliver([conn], frame);
  }

  onFrame(from: FakeStateStream, conn: number, frame: Uint8Array): void {
    const { type, ref, key } = decodeHeader(frame);
    this.frames.push({ conn, type, key });
    if (type === FrameType.REQUEST) this.#onRequest(from, conn, frame);
    if (type !== FrameType.SEND) return;
    const { clientMsgId, text } = client.Send.decode(framePayload(frame));
    const sender = from.attached.get(conn);
    const seq = ++this.#seq;
    const sent = client.Sent.encode(client.Sent.fromPartial({ clientMsgId, seq, id: seq })).finish();
    from.deliver([conn], encodeFrame(FrameType.SENT, ref, key, sent));
    const message = client.Message.fromPartial({
      seq,
      id: seq,
      sender: sender?.user ?? 0n,
      from: sender?.userName ?? '',
      clientMsgId,
      text,
    });
    const bytes = encodeFrame(FrameType.MESSAGE, 0, key, client.Message.encode(message).finish());
    for (const stream of this.streams)
      stream.deliver(
        [...stream.attached.keys()].filter((other) => stream !== from || other !== conn),
        bytes,
      );
  }

  /** Grants every join of a room whose name is a number, which is its id. */
  #onRequest(from: FakeStateStream, conn: number, frame: Uint8Array): void {
    // Field 4 of REQUEST: join_room. Other frames need not parse.
    if (frame[16] !== 0x22) return;
    const { call } = client.Request.decode(framePayload(frame));
    if (call?.$case !== 'joinRoom' || !this.answersJoin) return;
    const { ref } = decodeHeader(frame);
    const { room } = call.joinRoom;
    if (/^\d+$/.test(room)) {
      const conversation = client.Conversation.fromPartial({ id: BigInt(room), lastSeq: 9n });
      const response = client.Response.encode({ result: { $case: 'conversation', conversation } });
      from.deliver([conn], encodeFrame(FrameType.RESPONSE, ref, 0n, response.finish()));
    } else {
      const nack = client.Nack.fromPartial({ code: 'ROOM_NOT_FOUND' });
      from.deliver([conn], encodeFrame(FrameType.NACK, ref, 0n, client.Nack.encode(nack).finish()));
    }
  }

  async stop(): Promise<void> {
    await this.#registration?.deregister();
    await this.#server.stop();
  }

  /** Ends without deregistering. */
  async crash(): Promise<void> {
    await this.#server.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
