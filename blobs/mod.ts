/** Uploaded files: the port, and how to open an implementation. */
export type * from './blobs.ts';
export { openBlobs } from './open-blobs.ts';
