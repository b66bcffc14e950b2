/** Baseline for rooms: a bare Node `net` loop. No login, no log, no bounds; a tick's frames are joined per socket. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { BareParser, JOIN, joined, message, SEND, sent } from './bare-frame.ts';

interface Entry {
  readonly sender: Socket;
  readonly sent: Buffer;
  readonly message: Buffer;
}

interface Room {
  readonly members: Set<Socket>;
  seq: number;
  pending: Entry[];
}

const rooms = new Map<bigint, Room>();
const dirty = new Set<Room>();

const server = createServer({ noDelay: true }, (socket) => {
  const parser = new BareParser();
  const mine = new Set<Room>();
  socket.on('data', (chunk) => {
    parser.push(chunk, (frame) => {
      const room = roomOf(frame.readBigUInt64BE(8));
      if (frame[4] === JOIN) {
        room.members.add(socket);
        mine.add(room);
        socket.write(joined(frame));
      } else if (frame[4] === SEND) {
        const seq = ++room.seq;
        room.pending.push({ sender: socket, sent: sent(frame, seq), message: message(frame, seq) });
        if (dirty.size === 0) setImmediate(flush);
        dirty.add(room);
      }
    });
  });
  socket.on('close', () => {
    for (const room of mine) room.members.delete(socket);
  });
  // A load generator that goes away resets its connections.
  socket.on('error', () => undefined);
});

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

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
