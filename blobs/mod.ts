/** Uploaded files: the port, and what opens an implementation of it. */
export type * from './blobs.ts';
export { openBlobs } from './open-blobs.ts';
