/**
 * Baseline for rooms: a bare Node loop. No login, no log, no bounds.
 *
 *     joined   `net`; the frames of a tick are joined per socket
 *     each     `net`; each frame is written separately
 *     ws       as joined, on the `ws` library
 */
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { WebSocketServer } from 'ws';
import { BareParser, JOIN, joined, message, SEND, sent } from './bare-frame.ts';

/** A connection, to write to. */
interface Member {
  write(bytes: Buffer): void;
}

interface Entry {
  readonly sender: Member;
  readonly sent: Buffer;
  readonly message: Buffer;
}

interface Room {
  readonly members: Set<Member>;
  seq: number;
  pending: Entry[];
}

const mode = process.argv[2] ?? 'joined';
const rooms = new Map<bigint, Room>();
const dirty = new Set<Room>();

/** Adds a connection; returns its handlers for a chunk and for its end. */
function serve(member: Member): { onData: (chunk: Buffer) => void; onClose: () => void } {
  const parser = new BareParser();
  const mine = new Set<Room>();
  const onFrame = (frame: Buffer) => {
    const room = roomOf(frame.readBigUInt64BE(8));
    if (frame[4] === JOIN) {
      room.members.add(member);
      mine.add(room);
      member.write(joined(frame));
    } else if (frame[4] === SEND) {
      const seq = ++room.seq;
      room.pending.push({ sender: member, sent: sent(frame, seq), message: message(frame, seq) });
      dirty.add(room);
      if (mode === 'each') flush();
      else if (dirty.size === 1 && room.pending.length === 1) setImmediate(flush);
    }
  };
  return {
    onData: (chunk) => parser.push(chunk, onFrame),
    onClose: () => {
      for (const room of mine) room.members.delete(member);
    },
  };
}

function roomOf(key: bigint): Room {
  let room = rooms.get(key);
  if (room === undefined) {
    room = { members: new Set(), seq: 0, pending: [] };
    rooms.set(key, room);
  }
  return room;
}

function flush(): void {
  for (const room of dirty) {
    const entries = room.pending;
    room.pending = [];
    const senders = new Set(entries.map((entry) => entry.sender));
    const all = join(entries.map((entry) => entry.message));
    for (const member of room.members) {
      if (!senders.has(member)) member.write(all);
    }
    for (const sender of senders) {
      sender.write(join(entries.map((entry) => (entry.sender === sender ? entry.sent : entry.message))));
    }
  }
  dirty.clear();
}

function join(frames: readonly Buffer[]): Buffer {
  return frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames);
}

function listenTcp(): Server {
  return createServer({ noDelay: true }, (socket) => {
    const { onData, onClose } = serve(socket);
    socket.on('data', onData);
    socket.on('close', onClose);
    // A load generator that goes away resets its connections.
    socket.on('error', () => undefined);
  });
}

function listenWs(): Server {
  const http = createHttpServer({ noDelay: true });
  const webSockets = new WebSocketServer({ server: http, perMessageDeflate: false });
  webSockets.on('connection', (socket) => {
    const { onData, onClose } = serve({ write: (bytes) => socket.send(bytes) });
    socket.on('message', (data) => onData(data as Buffer));
    socket.on('close', onClose);
    socket.on('error', () => undefined);
  });
  return http;
}

const server = mode === 'ws' ? listenWs() : listenTcp();
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
