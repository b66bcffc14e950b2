/**
 * The clock of deadlines: ms of `performance.now()`, which nobody sets. gRPC's API has deadlines on the wall clock (on the
 * wire they are durations), so they are converted where a call is handed to it and where one arrives.
 */

/** Returns the deadline as gRPC wants it, Unix ms. */
export function toWall(deadline: number): number {
  return deadline === Infinity ? Infinity : Math.ceil(Date.now() + deadline - performance.now());
}

/** Returns a deadline of gRPC's, Unix ms, on our clock. */
export function fromWall(deadline: number): number {
  return deadline === Infinity ? Infinity : performance.now() + deadline - Date.now();
}
