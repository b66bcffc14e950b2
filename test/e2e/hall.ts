/** A room in which each sender writes its name and a number counting up from 0; and the check of its messages. */
import { expect } from 'vitest';
import type { Client, Json } from '../harness/gochat.ts';

/** Returns the events of a name that a client has printed. */
export function eventsOf(client: Client, name: string): readonly Json[] {
  return client.events.filter((event) => event['event'] === name);
}

/** Returns a sender's message after `count` others. */
export function lineOf(sender: string, count: number): string {
  return `${sender} ${count}`;
}

/**
 * Checks that the reader got everything once and contiguous, each sender's order was kept, and all was acknowledged.
 */
export function expectEverything(
  reader: Client,
  senders: ReadonlyMap<string, Client>,
  sendsEach: number,
): void {
  const seen = eventsOf(reader, 'message');
  const total = senders.size * sendsEach;
  // The entries of the joins come first.
  const first = Number(seen[0]?.['seq']);
  expect(seen.map((event) => event['seq'])).toEqual(Array.from({ length: total }, (_, i) => first + i));
  for (const [name, client] of senders) {
    const own = seen.filter((event) => event['from'] === name).map((event) => event['text']);
    expect(own).toEqual(Array.from({ length: sendsEach }, (_, k) => lineOf(name, k)));
    expect(eventsOf(client, 'sent').length).toBe(sendsEach);
    expect(eventsOf(client, 'failed')).toEqual([]);
  }
}
