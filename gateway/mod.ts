/** The gateway: holds client connections on TCP and WebSocket in worker threads, in front of the state nodes. */
export { DEFAULT_LIMITS, type GatewayLimits } from './limits.ts';
export { type GatewayOptions, GatewayServer } from './server.ts';
