/** api: accounts, rooms and history over HTTP. */
export { describeApi } from './app.ts';
export { type ApiOptions, ApiServer } from './server.ts';
