/** Uploaded files: the interface, and how to open an implementation. */
export type * from './blobs.ts';
export { openBlobs } from './open-blobs.ts';
