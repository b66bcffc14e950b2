/** Socket.IO as its documentation shows it: rooms, WebSocket only, an acknowledgement callback. Nothing is stored. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { serveClient: false, transports: ['websocket'] });

io.on('connection', (socket) => {
  let room = '';
  socket.on('join', (name: string, done: () => void) => {
    room = name;
    void socket.join(name);
    done();
  });
  socket.on('m', (text: string, done: () => void) => {
    socket.to(room).emit('m', text);
    done();
  });
});

http.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (http.address() as AddressInfo).port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
