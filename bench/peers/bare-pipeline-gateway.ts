/** Baseline for direct messages, the edge: sockets on one side, one batched bidi stream on the other. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import { BareParser } from './bare-frame.ts';

const PIPE = '/bench.Pipe/Pipe';
const CONN_BYTES = 4;

interface Connection {
  readonly socket: Socket;
  queue: Buffer[] | undefined;
}

const same = (bytes: Buffer): Buffer => bytes;
const client = new Client(process.argv[2] as string, credentials.createInsecure(), {
  'grpc.max_receive_message_length': 1 << 26,
});
const pipe = client.makeBidiStreamRequest<Buffer, Buffer>(PIPE, same, same);
const connections = new Map<number, Connection>();
let up: Buffer[] = [];
let next = 0;

// Up: what a tick reads travels as one message of (connection, frame).
const server = createServer({ noDelay: true }, (socket) => {
  const conn = next++;
  const head = Buffer.allocUnsafe(CONN_BYTES);
  head.writeUInt32BE(conn, 0);
  connections.set(conn, { socket, queue: undefined });
  const parser = new BareParser();
  socket.on('data', (chunk) => {
    parser.push(chunk, (frame) => {
      if (up.length === 0) setImmediate(flush);
      up.push(head, frame);
    });
  });
  socket.on('close', () => connections.delete(conn));
  // A load generator that goes away resets its connections.
  socket.on('error', () => undefined);
});

function flush(): void {
  pipe.write(Buffer.concat(up));
  up = [];
}

// Down: a batch's frames are joined per socket.
pipe.on('data', (batch: Buffer) => {
  const dirty: Connection[] = [];
  for (let at = 0; at < batch.length; ) {
    const connection = connections.get(batch.readUInt32BE(at));
    const end = at + CONN_BYTES + 4 + batch.readUInt32BE(at + CONN_BYTES);
    if (connection !== undefined) {
      if (connection.queue === undefined) {
        connection.queue = [];
        dirty.push(connection);
      }
      connection.queue.push(batch.subarray(at + CONN_BYTES, end));
    }
    at = end;
  }
  for (const connection of dirty) {
    const queue = connection.queue as Buffer[];
    connection.socket.write(queue.length === 1 ? (queue[0] as Buffer) : Buffer.concat(queue));
    connection.queue = undefined;
  }
});
pipe.on('error', (error) => {
  console.error(`bare pipeline: ${error.message}`);
  process.exit(1);
});

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
