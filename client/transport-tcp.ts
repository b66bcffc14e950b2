/** The transport over TCP, for Node. */
import { connect } from 'node:net';
import type { Gateway, Transport, TransportFactory, TransportHandlers } from './sdk/mod.ts';
import { hostPort } from './sdk/mod.ts';

/** Makes the factory of TCP transports. */
export function tcpTransport(): TransportFactory {
  return { kind: 'tcp', address: ({ host, port }) => `tcp://${hostPort(host, port)}`, open };
}

function open({ host, port }: Gateway, handlers: TransportHandlers): Transport {
  const socket = connect({ host, port, noDelay: true });
  let corked = false;
  let reason = 'the gateway ended the connection';
  socket.on('connect', () => handlers.onOpen());
  socket.on('data', (chunk) => handlers.onData(chunk));
  socket.on('error', (error) => {
    reason = error.message;
  });
  socket.on('close', () => handlers.onClose(reason));
  return {
    send(bytes) {
      if (!socket.writable) return;
      // All that is sent in one turn of the event loop leaves in one write.
      if (!corked) {
        corked = true;
        socket.cork();
        process.nextTick(() => {
          corked = false;
          socket.uncork();
        });
      }
      socket.write(bytes);
    },
    close: () => socket.end(),
    destroy: () => socket.destroy(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
}
