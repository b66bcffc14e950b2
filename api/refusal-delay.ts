/** The delay of refusals by rate: whoever asks on at once is answered once a second on each connection. */
import type { FastifyReply } from 'fastify';

const DELAY_MS = 1_000;

/**
 * Delays refusals by rate. An answer at once would invite the next request: a flood of wrong passwords on 64 connections
 * then takes a whole core, in `gochat up` the one that delivers messages.
 */
export class RefusalDelay {
  readonly #most: number;
  #delayed = 0;

  /** @param most refusals that wait; beyond it one is answered at once, and its connection ends */
  constructor(most = 1_000) {
    this.#most = most;
  }

  /** Resolves when the refusal may be answered. */
  async pass(reply: FastifyReply): Promise<void> {
    if (this.#delayed >= this.#most) {
      reply.header('connection', 'close');
      return;
    }
    this.#delayed++;
    await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
    this.#delayed--;
  }
}
