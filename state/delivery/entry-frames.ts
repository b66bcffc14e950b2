/** MESSAGE frames of the entries beside plain messages. */
import { Buffer } from 'node:buffer';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { numbersOf, toMessage } from '../chat/present.ts';
import type { NameOf } from '../identity/profiles.ts';
import type { Extra, Message } from '../store/store.ts';
import type { Push } from './conversation-cache.ts';
import { encodeMessageFrame } from './hot-frames.ts';

/** An entry with what it has beyond a plain message. */
export interface SpecialEntry extends Message {
  readonly extra: Extra;
}

/** Encodes the frame of an entry, with its frame for those who may not read what it is about. */
export function encodeEntry(
  entry: SpecialEntry,
  nameOf: NameOf,
): { readonly frame: Uint8Array; readonly about: Push['about'] } {
  const { seq, extra } = entry;
  const about = extra.range === undefined ? extra.target : Math.min(extra.range.toSeq, seq - 1);
  return {
    frame: encode(entry, nameOf),
    about: about === 0 ? undefined : { seq: about, bareFrame: () => encode(bare(entry), nameOf) },
  };
}

function encode(entry: SpecialEntry, nameOf: NameOf): Uint8Array {
  const { conversation, seq, extra } = entry;
  if (!isFlat(extra)) {
    const payload = client.Message.encode(toMessage(entry, nameOf)).finish();
    return encodeFrame(FrameType.MESSAGE, 0, conversation, payload);
  }
  const senderName = nameOf(entry.sender);
  const { kind, version, target } = numbersOf(extra, seq);
  return encodeMessageFrame({
    conversation,
    seq,
    id: entry.id,
    sender: entry.sender,
    senderName,
    clientMsgId: entry.clientMsgId,
    text: entry.text,
    senderNameBytes: Buffer.byteLength(senderName),
    clientMsgIdBytes: Buffer.byteLength(entry.clientMsgId),
    textBytes: Buffer.byteLength(entry.text),
    atMs: entry.atMs,
    kind,
    version,
    target,
    reason: extra.reason,
    thread: extra.thread,
  });
}

/**
 * Whether it has numbers and a reason alone, as most edits, retractions and pins: the generated codec takes ten times as long.
 * Whatever else an entry may have must be named here.
 */
function isFlat({ quote, retraction, range, system, bare: isBare }: Extra): boolean {
  return (quote ?? retraction ?? range ?? system) === undefined && !isBare;
}

/** Returns an entry without what it says about another message. */
function bare(entry: SpecialEntry): SpecialEntry {
  const { kind, version, thread, retraction, system } = entry.extra;
  const extra = {
    kind,
    version,
    retraction,
    system,
    target: 0,
    thread,
    quote: undefined,
    range: undefined,
    reason: '',
  };
  return { ...entry, text: kind === 'message' ? entry.text : '', extra: { ...extra, bare: true } };
}
