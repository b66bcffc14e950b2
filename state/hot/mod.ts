/** Hot state: the interface, and how to open an implementation. */
export type * from './hot-state.ts';
export { type HotStateOptions, openHotState, checkHotStateUrl } from './open-hot-state.ts';
