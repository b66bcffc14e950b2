/**
 * The records that a gateway worker and a state node exchange in a BatchStream. The hot ones (FRAME, DELIVER, TOPIC,
 * PUBLISH, ATTACHED, DETACH) are fixed big-endian layouts, the rest a kind byte and a protobuf message of link.proto.
 *
 *     up    OPEN      u8 kind | Open             first record of a stream
 *           ATTACH    u8 kind | Attach           the worker holds this connection
 *           READY     u8 kind                    the snapshot that follows OPEN is complete
 *           DETACH    u8 kind | u32 conn | u8 left   the connection is gone; left 1: on purpose, 0: it broke
 *           LOGIN     u8 kind | Login
 *           FRAME     u8 kind | u32 conn | u32 round | frame   a client's frame, as it came
 *           TRACED    u8 kind | Traced
 *           RENEW     u8 kind | Renew            the connection has another access token
 *           WATCH     u8 kind | u32 conn | u32 number | u16 ref | u8 flags | u8 n | n × u64 conversation | u64 user …
 *                     what the connection watches; flags 1: idle, 2: the node is the user's and answers the client
 *     down  DELIVER   u8 kind | u24 n | n × u32 conn | frame   the same bytes to n connections
 *           ATTACHED  u8 kind | n × u32 conn     these ATTACH records are in the location map
 *           LOGIN_RESULT  u8 kind | LoginResult
 *           KICK      u8 kind | Kick
 *           FENCE     u8 kind | n × u32 conn     these connections must resynchronise before they send on
 *           TRACE     u8 kind | Trace            asks for the hops of a message
 *           TOPIC     u8 kind | u24 topic | n × u32 conn   defines `topic` as these connections; n = 0: undefines it
 *           PUBLISH   u8 kind | u24 topic | u32 except | frame   the same bytes to the topic's connections but `except`
 *           WATCHING  u8 kind | u32 conn | u32 number   this WATCH is known; of a WATCH without flag 2
 *           WATCH_RESULT  u8 kind | u32 conn | u32 number | u8 accepted   of a WATCH with flag 2; 0: nothing is changed
 *
 * A topic abbreviates the list of a DELIVER within one stream. It is not a membership: when the list changes, the state
 * node defines the topic anew before it publishes again.
 */

import { readU32, writeU32 } from './bytes.ts';

/**
 * The versions of the link protocol that this release speaks; crpc negotiates them while a stream opens. CONTRIBUTING.md
 * says when they change.
 *
 * Version 3 goes with version 2 of the client protocol: releases before 0.3.0 know only version 1 of it, whose frames this
 * one cannot answer.
 */
export const LINK_PROTOCOL = {
  oldest: 3,
  newest: 3,
  capabilities: ['watch'] as readonly string[],
  remedy:
    'Stop all gateway, state and api servers, start one state node of the newer version so that it migrates the store, ' +
    'then start the others (docs/operations.md, "Upgrading").',
} as const;

export const LinkKind = {
  OPEN: 1,
  ATTACH: 2,
  READY: 3,
  DETACH: 4,
  LOGIN: 5,
  FRAME: 6,
  TRACED: 7,
  RENEW: 8,
  WATCH: 9,
  DELIVER: 16,
  ATTACHED: 17,
  LOGIN_RESULT: 18,
  KICK: 19,
  FENCE: 20,
  TRACE: 21,
  TOPIC: 22,
  PUBLISH: 23,
  WATCHING: 24,
  WATCH_RESULT: 25,
} as const;
export type LinkKind = (typeof LinkKind)[keyof typeof LinkKind];

export const FRAME_RECORD_HEADER_BYTES = 9;
/** Most connections that one DELIVER record can name. */
export const MAX_DELIVER_CONNS = 0xffffff;
/** Most topics of a stream; topic numbers are below this. */
export const MAX_TOPICS = 4096;
/** Most connections of all topics of a stream together; a worker keeps 4 bytes for each. */
export const MAX_TOPIC_CONNS = 1_048_576;
export const PUBLISH_HEAD_BYTES = 8;
/** The `except` of a PUBLISH to all: connections are numbered from 1. */
export const NO_CONNECTION = 0;

/** Encodes a record of a kind byte and a protobuf message. */
export function encodeRecord(kind: LinkKind, body: Uint8Array): Uint8Array {
  const record = new Uint8Array(1 + body.length);
  record[0] = kind;
  record.set(body, 1);
  return record;
}

/** Encodes a DETACH record. @param left whether either side ended the connection on purpose */
export function encodeDetach(conn: number, left: boolean): Uint8Array {
  const record = new Uint8Array(6);
  record[0] = LinkKind.DETACH;
  writeU32(record, 1, conn);
  record[5] = left ? 1 : 0;
  return record;
}

/**
 * Encodes the head of a FRAME record; the frame's bytes follow it.
 *
 * @param round number of RESYNCs that the connection has answered; the messages of a round begin with the client's oldest
 *   unacknowledged one
 */
export function encodeFrameHead(conn: number, round: number): Uint8Array {
  return encodeConns(LinkKind.FRAME, [conn, round]);
}

/** Encodes a record of a kind byte and connection numbers: ATTACHED, FENCE. */
export function encodeConns(kind: LinkKind, conns: readonly number[]): Uint8Array {
  const record = new Uint8Array(1 + conns.length * 4);
  record[0] = kind;
  let at = 1;
  for (const conn of conns) at = writeU32(record, at, conn);
  return record;
}

/** Decodes the connection numbers of an ATTACHED or FENCE record. */
export function decodeConns(record: Uint8Array): number[] {
  const conns: number[] = [];
  for (let at = 1; at + 4 <= record.length; at += 4) conns.push(readU32(record, at));
  return conns;
}

/** Encodes the head of a DELIVER record for at most MAX_DELIVER_CONNS connections; the frame's bytes follow it. */
export function encodeDeliverHead(conns: readonly number[]): Uint8Array {
  const head = new Uint8Array(4 + conns.length * 4);
  writeHead(head, LinkKind.DELIVER, conns.length);
  let at = 4;
  for (const conn of conns) at = writeU32(head, at, conn);
  return head;
}

/** Returns the number of connections of a DELIVER record; the i-th is at 4 + 4 × i, the frame after the last. */
export function deliverCount(record: Uint8Array): number {
  return readNumber(record);
}

/** Encodes the head of a TOPIC record; the connections follow it, at the same offset as in a DELIVER. */
export function encodeTopicHead(topic: number): Uint8Array {
  const head = new Uint8Array(4);
  writeHead(head, LinkKind.TOPIC, topic);
  return head;
}

/** Returns the number of connections of a TOPIC record; the i-th is at 4 + 4 × i. */
export function topicCount(record: Uint8Array): number {
  return (record.length - 4) >> 2;
}

/** Encodes the head of a PUBLISH record; the frame's bytes follow it. @param except a connection, or NO_CONNECTION */
export function encodePublishHead(topic: number, except: number): Uint8Array {
  const head = new Uint8Array(PUBLISH_HEAD_BYTES);
  writeHead(head, LinkKind.PUBLISH, topic);
  writeU32(head, 4, except);
  return head;
}

/** Returns the topic of a TOPIC or PUBLISH record. */
export function topicOf(record: Uint8Array): number {
  return readNumber(record);
}

/** Writes u8 kind | u24 number. */
function writeHead(head: Uint8Array, kind: LinkKind, number: number): void {
  writeU32(head, 0, number);
  head[0] = kind;
}

function readNumber(head: Uint8Array): number {
  return ((head[1] as number) << 16) | ((head[2] as number) << 8) | (head[3] as number);
}

/** Most conversations and users of a WATCH. */
export const MAX_WATCHED_CONVERSATIONS = 8;
export const MAX_WATCHED_USERS = 500;

/** The ids of a watch of nothing. */
export const NO_WATCH = new BigUint64Array(0);

const WATCH_HEAD_BYTES = 13;
const IDLE = 1;
const HOME = 2;

/** A WATCH record. */
export interface WatchRecord {
  readonly conn: number;
  /** Of the WATCH in its connection, for the answer; 0: nobody waits for it. */
  readonly number: number;
  readonly ref: number;
  /** Nobody is at the device. */
  readonly idle: boolean;
  /** The node answers the client, and is told of the users. */
  readonly isHome: boolean;
  readonly conversations: BigUint64Array;
  readonly users: BigUint64Array;
}

export function encodeWatch({
  conn,
  number,
  ref,
  idle,
  isHome,
  conversations,
  users,
}: WatchRecord): Uint8Array {
  const record = new Uint8Array(WATCH_HEAD_BYTES + (conversations.length + users.length) * 8);
  const view = new DataView(record.buffer);
  record[0] = LinkKind.WATCH;
  view.setUint32(1, conn);
  view.setUint32(5, number);
  view.setUint16(9, ref);
  record[11] = (idle ? IDLE : 0) | (isHome ? HOME : 0);
  record[12] = conversations.length;
  let at = WATCH_HEAD_BYTES;
  for (const ids of [conversations, users])
    for (const id of ids) {
      view.setBigUint64(at, id);
      at += 8;
    }
  return record;
}

/** Decodes a WATCH record; undefined if its length is wrong. */
export function decodeWatch(record: Uint8Array): WatchRecord | undefined {
  const ids = (record.length - WATCH_HEAD_BYTES) / 8;
  const count = record[12] as number;
  if (!Number.isInteger(ids) || ids < 0 || count > ids) return undefined;
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  const read = (from: number, to: number) =>
    BigUint64Array.from({ length: to - from }, (_, i) =>
      view.getBigUint64(WATCH_HEAD_BYTES + (from + i) * 8),
    );
  const flags = record[11] as number;
  return {
    conn: view.getUint32(1),
    number: view.getUint32(5),
    ref: view.getUint16(9),
    idle: (flags & IDLE) !== 0,
    isHome: (flags & HOME) !== 0,
    conversations: read(0, count),
    users: read(count, ids),
  };
}

/** Encodes a WATCH_RESULT record. */
export function encodeWatchResult(conn: number, number: number, accepted: boolean): Uint8Array {
  const record = new Uint8Array(10);
  record[0] = LinkKind.WATCH_RESULT;
  writeU32(record, 1, conn);
  writeU32(record, 5, number);
  record[9] = accepted ? 1 : 0;
  return record;
}
