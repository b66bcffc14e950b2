/** The client: the SDK, its TCP transport, and the command-line client. */
export type { PlainOptions } from './plain.ts';
export { runPlain } from './plain.ts';
export * from './sdk/mod.ts';
export { runTerminal, type TerminalOptions } from './terminal.ts';
export { tcpTransport } from './transport-tcp.ts';
