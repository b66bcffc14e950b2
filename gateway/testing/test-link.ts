/** State nodes without a network, for tests of the layer above the streams. */
import { type BatchStream, type ClientBatchHandler, SendResult, type StreamEnd } from '../../crpc/mod.ts';
import {
  decodeConns,
  encodeConns,
  encodeDeliverHead,
  encodeRecord,
  encodeTopicHead,
  link as wire,
  LINK_PROTOCOL,
  LinkKind,
} from '../../proto/mod.ts';
import type { OpenLink } from '../route/state-link.ts';

/** A stream to a state node, controlled by the test. */
export class FakeLink implements BatchStream {
  readonly peer: string;
  readonly maxRecordBytes = 1 << 20;
  readonly protocol = { version: LINK_PROTOCOL.newest, capabilities: new Set<string>() };
  readonly handler: ClientBatchHandler;
  /** Records sent since the stream opened. */
  sent: Uint8Array[] = [];
  queuedBytes = 0;
  result: SendResult = SendResult.SUCCESS;
  /** Number of records accepted before `result` applies. */
  room = 0;
  closed = false;

  constructor(address: string, handler: ClientBatchHandler) {
    this.peer = address;
    this.handler = handler;
  }

  send(record: Uint8Array, tail?: Uint8Array): SendResult {
    const result = this.room-- > 0 ? SendResult.SUCCESS : this.result;
    if (result !== SendResult.SUCCESS) this.queuedBytes = 1;
    if (result !== SendResult.CLOSED) this.sent.push(Buffer.concat([record, tail ?? Buffer.alloc(0)]));
    return result;
  }

  sendSoon(record: Uint8Array): SendResult {
    return this.send(record);
  }

  pause(): void {}
  resume(): void {}
  close(): void {
    this.closed = true;
  }

  open(): void {
    this.sent = [];
    this.handler.onOpen(this);
  }

  drain(): void {
    this.result = SendResult.SUCCESS;
    this.queuedBytes = 0;
    this.handler.onDrain?.();
  }

  end(end: StreamEnd = 'lost'): void {
    this.handler.onEnd(end);
  }

  receive(...records: Uint8Array[]): void {
    this.handler.onRecords(records);
  }

  /** Confirms all attached connections. */
  attachAll(): void {
    this.receive(encodeConns(LinkKind.ATTACHED, this.attached));
  }

  loginResult(result: Partial<wire.LoginResult>): void {
    const full = wire.LoginResult.fromPartial({ session: 1n, epoch: 1n, ...result });
    this.receive(encodeRecord(LinkKind.LOGIN_RESULT, wire.LoginResult.encode(full).finish()));
  }

  /** Records of a kind, without the kind. */
  bodies(kind: LinkKind): Uint8Array[] {
    return this.sent.filter((record) => record[0] === kind).map((record) => record.subarray(1));
  }

  /** Kinds of all records, in order. */
  get kinds(): number[] {
    return this.sent.map((record) => record[0] as number);
  }

  get attached(): number[] {
    return this.bodies(LinkKind.ATTACH).map((body) => wire.Attach.decode(body).conn);
  }

  get detached(): number[] {
    return this.sent
      .filter((record) => record[0] === LinkKind.DETACH)
      .flatMap((record) => decodeConns(record));
  }
}

/** Makes fake links and keeps them by address. */
export class FakeLinks {
  readonly all = new Map<string, FakeLink>();

  readonly open: OpenLink = (address, handler) => {
    const link = new FakeLink(address, handler);
    this.all.set(address, link);
    return link;
  };

  get(address: string): FakeLink {
    const link = this.all.get(address);
    if (link === undefined) throw new Error(`no link to ${address}`);
    return link;
  }
}

/** Builds a whole TOPIC record. */
export function topicRecord(topic: number, conns: readonly number[]): Uint8Array {
  return Buffer.concat([encodeTopicHead(topic), encodeDeliverHead(conns).subarray(4)]);
}
