/** The HTTP server of a port: with TLS if there is a certificate. */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { CertificatePair, ServerCertificate } from './server-certificate.ts';

/** Deadline of a TLS handshake. ms. */
const TLS_TIMEOUT_MS = 5_000;

/** Makes a server that does not listen yet. A reloaded certificate is used for new handshakes; connections stay. */
export function createHttpServer(
  options: ServerOptions,
  certificate: ServerCertificate | undefined,
  onRequest: RequestListener,
): Server {
  if (certificate === undefined) return createServer(options, onRequest);
  const handshake = { ...contextOf(certificate.current), handshakeTimeout: TLS_TIMEOUT_MS };
  const server = createTlsServer({ ...options, ...handshake }, onRequest);
  // Node would report a failed handshake as a malformed request, which there is no way to answer.
  server.removeAllListeners('tlsClientError').on('tlsClientError', (_error, socket) => socket.destroy());
  // A handshake that ends after `close` would be a connection that nothing closes.
  server.prependListener('secureConnection', (socket) => {
    if (!server.listening) socket.destroy();
  });
  const release = certificate.onChange((pair) => server.setSecureContext(contextOf(pair)));
  server.once('close', release);
  return server;
}

function contextOf({ cert, key }: CertificatePair) {
  return { cert, key, minVersion: 'TLSv1.2' } as const;
}
