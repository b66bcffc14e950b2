/** MESSAGE frames of the entries beside plain messages, which are few: by the generated codec. */
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { toMessage } from '../chat/present.ts';
import type { NameOf } from '../identity/profiles.ts';
import type { Extra, Message } from '../store/store.ts';
import type { Push } from './conversation-cache.ts';

/** An entry with what it has beyond a plain message. */
export interface SpecialEntry extends Message {
  readonly extra: Extra;
}

/** Encodes the frame of an entry, with its frame for those who may not read what it is about. */
export function encodeEntry(
  entry: SpecialEntry,
  nameOf: NameOf,
): { readonly frame: Uint8Array; readonly about: Push['about'] } {
  const { conversation, seq, extra } = entry;
  const encode = (message: Message) => {
    const payload = client.Message.encode(toMessage(message, nameOf)).finish();
    return encodeFrame(FrameType.MESSAGE, 0, conversation, payload);
  };
  const about = extra.range === undefined ? extra.target : Math.min(extra.range.toSeq, seq - 1);
  return {
    frame: encode(entry),
    about: about === 0 ? undefined : { seq: about, bareFrame: () => encode(bare(entry)) },
  };
}

/** Returns an entry without what it says about another message. */
function bare(entry: SpecialEntry): SpecialEntry {
  const { kind, version, retraction, system } = entry.extra;
  const extra = {
    kind,
    version,
    retraction,
    system,
    target: 0,
    quote: undefined,
    range: undefined,
    reason: '',
  };
  return { ...entry, text: kind === 'message' ? entry.text : '', extra: { ...extra, bare: true } };
}
