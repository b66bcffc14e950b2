/** Rooms to talk in, and what answers say, for the tests of docs/protocol.md. */
import { expect } from 'vitest';
import type { Frame, WireClient } from './wire-client.ts';

/** Number of rooms made, for their names. */
let rooms = 0;

/** Makes a room of a client's in which it says the texts. */
export async function roomOf(
  owner: WireClient,
  texts: readonly string[],
  hidesHistory = false,
): Promise<{ id: string; name: string }> {
  const name = `room${++rooms}`;
  const { id } = conversation(await owner.ask({ create_room: { name, hide_history: hidesHistory } }));
  for (const text of texts) expect(await owner.say(id, text)).toMatchObject({ type: 'SENT' });
  return { id: id as string, name };
}

export function conversation(answer: Frame): Frame {
  expect(answer).toMatchObject({ type: 'RESPONSE', conversation: {} });
  return answer['conversation'] as Frame;
}

/** Returns what a sync page has of one conversation: the seqs, or undefined where it is not mentioned. */
export function seqsOf(answer: Frame, id: string): readonly number[] | undefined {
  const { conversations } = answer['sync'] as { conversations: readonly Frame[] };
  const part = conversations.find((one) => (one['conversation'] as Frame)['id'] === id);
  return part && (part['messages'] as readonly Frame[]).map(({ seq }) => Number(seq));
}

export function historyOf(answer: Frame): { readonly seqs: readonly number[]; readonly more: unknown } {
  const { messages, more } = answer['history'] as { messages: readonly Frame[]; more: unknown };
  return { seqs: messages.map(({ seq }) => Number(seq)), more };
}
