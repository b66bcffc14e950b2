/** api: accounts, rooms and history over HTTP. */
export { describeApi } from './app.ts';
export type { OwnGateway } from './web-sockets.ts';
export { type ApiOptions, ApiServer } from './server.ts';
export type { OpenIdOptions } from './open-id.ts';
export type { PageOptions } from './routes/page.ts';
