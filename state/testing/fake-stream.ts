/** Test support: a batch stream that records what is sent, and a gateway worker on top of it. */
import { type BatchStream, type BatchStreamHandler, SendResult, type StreamEnd } from '../../crpc/mod.ts';
import {
  client,
  decodeConns,
  decodeHeader,
  deliverCount,
  encodeDeliverHead,
  encodeDetach,
  encodeFrame,
  encodeFrameHead,
  encodeRecord,
  encodeWatch,
  framePayload,
  FrameType,
  link,
  LINK_PROTOCOL,
  LinkKind,
  PUBLISH_HEAD_BYTES,
  readU32,
  topicCount,
  topicOf,
  type WatchRecord,
} from '../../proto/mod.ts';

/** A stream whose peer is the test. */
export class FakeStream implements BatchStream {
  readonly peer = 'test';
  readonly maxRecordBytes = 8 * 1024 * 1024;
  readonly protocol = { version: LINK_PROTOCOL.newest, capabilities: new Set<string>() };
  readonly sent: Uint8Array[] = [];
  queuedBytes = 0;
  isClosed = false;
  /** Called with each record sent. */
  onSend: (record: Uint8Array) => void = () => undefined;
  /** Result of `send`; CLOSED accepts nothing. */
  result: SendResult = SendResult.SUCCESS;

  send(record: Uint8Array, tail?: Uint8Array): SendResult {
    if (this.isClosed || this.result === SendResult.CLOSED) return SendResult.CLOSED;
    const sent = tail === undefined ? Uint8Array.from(record) : Uint8Array.from([...record, ...tail]);
    this.sent.push(sent);
    this.onSend(sent);
    return this.result;
  }

  sendSoon(record: Uint8Array): SendResult {
    return this.send(record);
  }

  pause(): void {}

  resume(): void {}

  close(): void {
    this.isClosed = true;
  }
}

/** A frame for one connection of the worker. */
export interface Delivered {
  readonly conn: number;
  readonly type: number;
  readonly ref: number;
  readonly key: bigint;
  readonly payload: Uint8Array;
}

export interface AttachOptions {
  readonly device?: string;
  readonly unnamed?: boolean;
  readonly epoch?: bigint;
  readonly name?: string;
  readonly token?: bigint;
}

/** The worker's side of a fake stream. */
export class FakeWorker {
  readonly stream: FakeStream;
  readonly #handler: BatchStreamHandler;
  /** Defined topics, with their connections. */
  readonly #topics = new Map<number, number[]>();
  #read = 0;
  #epoch = 0n;
  /** Round of all frames: the number of RESYNCs answered. */
  round = 0;

  constructor(accept: (stream: BatchStream) => BatchStreamHandler) {
    this.stream = new FakeStream();
    this.#handler = accept(this.stream);
    this.records(
      encodeRecord(LinkKind.OPEN, link.Open.encode({ gateway: 1, gatewayName: 'gw', worker: 0 }).finish()),
    );
    this.records(Uint8Array.of(LinkKind.READY));
  }

  /** Sends records as one batch. */
  records(...records: Uint8Array[]): void {
    this.#handler.onRecords(records);
  }

  attach(conn: number, user: bigint, options: AttachOptions = {}): void {
    this.#epoch++;
    const attach = link.Attach.encode({
      conn,
      user,
      userName: options.name ?? `user${user}`,
      device: options.device ?? `device${conn}`,
      session: 1000n + BigInt(conn),
      epoch: options.epoch ?? this.#epoch,
      unnamedDevice: options.unnamed ?? false,
      token: options.token ?? 0n,
    }).finish();
    this.records(encodeRecord(LinkKind.ATTACH, attach));
  }

  detach(conn: number, left = true): void {
    this.records(encodeDetach(conn, left));
  }

  renew(conn: number, token: bigint): void {
    this.records(encodeRecord(LinkKind.RENEW, link.Renew.encode({ conn, token }).finish()));
  }

  login(login: Partial<link.Login>): void {
    this.records(encodeRecord(LinkKind.LOGIN, link.Login.encode(link.Login.fromPartial(login)).finish()));
  }

  /** Sends frames of one connection each as one batch. */
  frames(...frames: (readonly [conn: number, frame: Uint8Array])[]): void {
    this.records(
      ...frames.map(([conn, frame]) => Uint8Array.from([...encodeFrameHead(conn, this.round), ...frame])),
    );
  }

  /** Starts a new round: every connection has answered a RESYNC. */
  resynced(): void {
    this.round++;
  }

  send(conn: number, ref: number, key: bigint, clientMsgId: string, text = clientMsgId): void {
    this.frames([conn, sendFrame(ref, key, clientMsgId, text)]);
  }

  request(conn: number, ref: number, key: bigint, call: NonNullable<client.Request['call']>): void {
    this.frames([conn, encodeFrame(FrameType.REQUEST, ref, key, client.Request.encode({ call }).finish())]);
  }

  /** Sends WATCH to the user's node, which answers; with `number` and isHome false, to another one. */
  watch(
    conn: number,
    watch: Partial<WatchRecord> & { ids?: readonly bigint[]; people?: readonly bigint[] },
  ): void {
    const { ids = [], people = [], ...rest } = watch;
    this.records(
      encodeWatch({
        conn,
        number: 1,
        ref: 5,
        idle: false,
        isHome: true,
        conversations: BigUint64Array.from(ids),
        users: BigUint64Array.from(people),
        ...rest,
      }),
    );
  }

  drained(): void {
    this.#handler.onDrain?.();
  }

  end(reason: StreamEnd): void {
    this.#handler.onEnd(reason);
  }

  /** Returns the records that came since the last call of `take`, `delivered` or `lines`. */
  take(): Uint8Array[] {
    const records = this.#next();
    for (const record of records) this.#asList(record);
    return records;
  }

  /** Returns the frames for each connection among the records that came; other kinds are dropped. */
  delivered(): Delivered[] {
    return this.#next().flatMap((record) => unpackDeliver(this.#asList(record)));
  }

  /** Returns everything so far as text, one line per frame or record, for tests of order. */
  lines(): string[] {
    return this.#next().flatMap((record) => describeRecord(this.#asList(record)));
  }

  #next(): Uint8Array[] {
    const records = this.stream.sent.slice(this.#read);
    this.#read = this.stream.sent.length;
    return records;
  }

  /** Returns a PUBLISH as the equivalent DELIVER, other records unchanged; must be called for each record in order. */
  #asList(record: Uint8Array): Uint8Array {
    if (record[0] === LinkKind.TOPIC) this.#topics.set(topicOf(record), decodeTopic(record));
    if (record[0] !== LinkKind.PUBLISH) return record;
    const conns = this.#topics.get(topicOf(record));
    if (conns === undefined) throw new Error(`topic ${topicOf(record)} is not defined`);
    const except = readU32(record, 4);
    const head = encodeDeliverHead(conns.filter((conn) => conn !== except));
    return Buffer.concat([head, record.subarray(PUBLISH_HEAD_BYTES)]);
  }
}

/** Returns the connections of a TOPIC record. */
export function decodeTopic(record: Uint8Array): number[] {
  return Array.from({ length: topicCount(record) }, (_, i) => readU32(record, 4 + i * 4));
}

/** Builds a SEND frame. */
export function sendFrame(ref: number, key: bigint, clientMsgId: string, text: string): Uint8Array {
  return encodeFrame(
    FrameType.SEND,
    ref,
    key,
    client.Send.encode(client.Send.fromPartial({ clientMsgId, text })).finish(),
  );
}

function unpackDeliver(record: Uint8Array): Delivered[] {
  if (record[0] !== LinkKind.DELIVER) return [];
  const count = deliverCount(record);
  const frame = record.subarray(4 + count * 4);
  const { type, ref, key } = decodeHeader(frame);
  const payload = framePayload(frame);
  return Array.from({ length: count }, (_, i) => ({
    conn: readU32(record, 4 + i * 4),
    type,
    ref,
    key,
    payload,
  }));
}

function describeRecord(record: Uint8Array): string[] {
  switch (record[0]) {
    case LinkKind.DELIVER:
      return unpackDeliver(record).map(describeFrame);
    case LinkKind.TOPIC:
      return [`topic ${topicOf(record)} of ${topicCount(record)}`];
    case LinkKind.ATTACHED:
      return [`attached ${decodeConns(record).join(',')}`];
    case LinkKind.FENCE:
      return [`fence ${decodeConns(record).join(',')}`];
    case LinkKind.KICK: {
      const kick = link.Kick.decode(record.subarray(1));
      return [`kick ${kick.conn} ${kick.code}`];
    }
    case LinkKind.LOGIN_RESULT: {
      const result = link.LoginResult.decode(record.subarray(1));
      return [`login ${result.conn} ${result.errorCode === '' ? 'ok' : result.errorCode}`];
    }
    default:
      return [`record of kind ${record[0]}`];
  }
}

function describeFrame({ conn, type, ref, key, payload }: Delivered): string {
  switch (type) {
    case FrameType.SENT: {
      const sent = client.Sent.decode(payload);
      return `${conn}: SENT ref=${ref} ${sent.clientMsgId} seq=${sent.seq}${sent.duplicate ? ' duplicate' : ''}`;
    }
    case FrameType.MESSAGE: {
      const message = client.Message.decode(payload);
      return `${conn}: MESSAGE ${key}#${message.seq} ${message.from}: ${message.text}`;
    }
    case FrameType.NACK:
      return `${conn}: NACK ref=${ref} ${client.Nack.decode(payload).code}`;
    case FrameType.RESPONSE:
      return `${conn}: RESPONSE ref=${ref} ${client.Response.decode(payload).result?.$case}`;
    default:
      return `${conn}: frame of type ${type}`;
  }
}
