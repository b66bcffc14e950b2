/** What placement draws: gateways for a client, best first. */
import type { Gateway } from './gateway.ts';

export interface Choice {
  readonly gateway: Gateway;
  readonly score: number;
}

/** Gateways drawn together; within a tick many clients may be told the same. */
export interface Draw {
  readonly choices: readonly Choice[];
  /** The choices as they stand in an answer; undefined until somebody has written them. */
  text: string | undefined;
}

/** What comes after homes, in any order; the spare one takes the place of a home that is among them. */
export interface Others extends Draw {
  readonly spare: Choice | undefined;
}
