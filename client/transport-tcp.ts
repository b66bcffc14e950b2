/** TCP transport for Node, with TLS if the gateway uses it. */
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Gateway, Transport, TransportFactory, TransportHandlers } from './sdk/mod.ts';
import { joinAddress } from '../proto/client.ts';

/** Makes the factory of TCP transports. */
export function tcpTransport(): TransportFactory {
  return {
    kind: 'tcp',
    address: ({ host, port, tls }) => `${tls ? 'tcps' : 'tcp'}://${joinAddress(host, port)}`,
    open,
  };
}

function open({ host, port, tls = false }: Gateway, handlers: TransportHandlers): Transport {
  const target = { host, port, noDelay: true };
  const socket = tls ? connectTls(target) : connect(target);
  let corked = false;
  let reason = 'the gateway ended the connection';
  socket.on(tls ? 'secureConnect' : 'connect', () => handlers.onOpen());
  socket.on('data', (chunk) => handlers.onData(chunk));
  socket.on('error', (error) => {
    reason = error.message;
  });
  socket.on('close', () => handlers.onClose(reason));
  return {
    send(bytes) {
      if (!socket.writable) return;
      // Everything sent in one turn of the event loop leaves in one write.
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
