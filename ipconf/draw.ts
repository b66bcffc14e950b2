/** The draws of placement: gateways for a client, best first. */
import type { Gateway } from './gateway.ts';

export interface Choice {
  readonly gateway: Gateway;
  readonly score: number;
}

/** Gateways drawn together; within a tick many clients may get the same draw. */
export interface Draw {
  readonly choices: readonly Choice[];
  /** The choices as JSON; undefined until they are first written. */
  text: string | undefined;
}

/** Gateways listed after a home, in any order; the spare replaces a home that is among them. */
export interface Alternates extends Draw {
  readonly spare: Choice | undefined;
}
