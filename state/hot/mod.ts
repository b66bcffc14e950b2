/** Hot state: the port, and what opens an implementation of it. */
export type * from './hot-state.ts';
export { type HotStateOptions, openHotState, checkHotStateUrl } from './open-hot-state.ts';
