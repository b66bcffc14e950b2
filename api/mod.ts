/** api: accounts, rooms and history over HTTP. */
export { type ApiOptions, ApiServer } from './server.ts';
