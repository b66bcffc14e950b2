/** Baseline for direct messages, the log: batched bidi streams in, PostgreSQL group commit, acks and deliveries out. */
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import postgres from 'postgres';
import { JOIN, joined, message, SEND, sent, HEADER_BYTES } from './bare-frame.ts';

const CONN_BYTES = 4;
const MAX_BATCH_ROWS = 2000;
const MAX_COMMITS = 2;
const CONVERSATIONS = 20_000;

type Stream = ServerDuplexStream<Buffer, Buffer>;

interface Member {
  readonly stream: Stream;
  readonly conn: number;
}

interface Send extends Member {
  readonly conversation: number;
  readonly frame: Buffer;
}

const sql = postgres(process.argv[2] as string, { max: 4, onnotice: () => undefined });
await sql.unsafe(`
  drop schema if exists bench_bare cascade;
  create schema bench_bare;
  create table bench_bare.conv (id bigint primary key, last_seq bigint not null default 0);
  create table bench_bare.msg (
    conv bigint, seq bigint, id bigint, sender bigint, client_id text, body text, at timestamptz default now(),
    primary key (conv, seq), unique (conv, sender, client_id));
  insert into bench_bare.conv select g, 0 from generate_series(0, ${CONVERSATIONS}) g`);

// One statement assigns the seqs and stores the batch; autocommit makes it durable.
const APPEND = `
  with inp as (
    select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[])
      with ordinality as t(conv, sender, client_id, body, id, ord)),
  numbered as (select *, row_number() over (partition by conv order by ord) rn from inp),
  bumped as (
    update bench_bare.conv set last_seq = last_seq + x.c
      from (select conv, count(*) c from inp group by conv order by conv) x
      where conv.id = x.conv returning conv.id, conv.last_seq - x.c as base)
  insert into bench_bare.msg (conv, seq, id, sender, client_id, body)
    select n.conv, b.base + n.rn, n.id, n.sender, n.client_id, n.body
      from numbered n join bumped b on b.id = n.conv
    returning id::text, seq::int`;

const members = new Map<number, Member[]>();
let pending: Send[] = [];
let commits = 0;
let nextId = Date.now() * 1000;

async function pump(): Promise<void> {
  if (commits >= MAX_COMMITS || pending.length === 0) return;
  commits++;
  const batch = pending.splice(0, MAX_BATCH_ROWS);
  const [conversations, senders, clientIds, bodies, ids] = [[], [], [], [], []] as [
    number[],
    number[],
    string[],
    string[],
    number[],
  ];
  const byId = new Map<string, Send>();
  for (const send of batch) {
    const id = nextId++;
    conversations.push(send.conversation);
    senders.push(send.conn);
    clientIds.push(String(id));
    bodies.push(send.frame.toString('latin1', HEADER_BYTES));
    ids.push(id);
    byId.set(String(id), send);
  }
  const rows = await sql.unsafe<{ id: string; seq: number }[]>(
    APPEND,
    [conversations, senders, clientIds, bodies, ids],
    { prepare: true },
  );
  const out = new Map<Stream, Buffer[]>();
  for (const row of rows) {
    const send = byId.get(row.id) as Send;
    put(out, send, sent(send.frame, row.seq));
    const frame = message(send.frame, row.seq);
    for (const member of members.get(send.conversation) ?? []) {
      if (member.conn !== send.conn || member.stream !== send.stream) put(out, member, frame);
    }
  }
  for (const [stream, parts] of out) stream.write(Buffer.concat(parts));
  commits--;
  schedule();
}

function put(out: Map<Stream, Buffer[]>, to: Member, frame: Buffer): void {
  const head = Buffer.allocUnsafe(CONN_BYTES);
  head.writeUInt32BE(to.conn, 0);
  const parts = out.get(to.stream);
  if (parts === undefined) out.set(to.stream, [head, frame]);
  else parts.push(head, frame);
}

function schedule(): void {
  setImmediate(() => {
    pump().catch((error: unknown) => {
      console.error('bare pipeline:', error);
      process.exit(1);
    });
  });
}

function onBatch(stream: Stream, batch: Buffer): void {
  const answers: Buffer[] = [];
  for (let at = 0; at < batch.length; ) {
    const conn = batch.readUInt32BE(at);
    const end = at + CONN_BYTES + 4 + batch.readUInt32BE(at + CONN_BYTES);
    const frame = batch.subarray(at + CONN_BYTES, end);
    const conversation = Number(frame.readBigUInt64BE(8));
    if (frame[4] === SEND) {
      pending.push({ stream, conn, conversation, frame });
    } else if (frame[4] === JOIN) {
      members.set(conversation, [...(members.get(conversation) ?? []), { stream, conn }]);
      answers.push(batch.subarray(at, at + CONN_BYTES), joined(frame));
    }
    at = end;
  }
  if (answers.length > 0) stream.write(Buffer.concat(answers));
  schedule();
}

const same = (bytes: Buffer): Buffer => bytes;
const server = new Server({ 'grpc.max_receive_message_length': 1 << 26 });
server.addService(
  {
    pipe: {
      path: '/bench.Pipe/Pipe',
      requestStream: true,
      responseStream: true,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  },
  {
    pipe: (stream: Stream) => {
      stream.on('data', (batch: Buffer) => onBatch(stream, batch));
      // This program ends with the gateway.
      stream.on('error', () => undefined);
    },
  },
);
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
