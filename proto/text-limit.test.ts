import { expect, test } from 'vitest';
import { client } from './mod.ts';
import { JSON_FACTOR, textBytesIn } from './text-limit.ts';

test.each([4096, 65_536, 262_144, 4_194_304])(
  'textBytesIn: a frame of %i bytes holds it in either form',
  (frame) => {
    const clientMsgId = 'm'.repeat(64);
    for (const character of ['\u0001', 'x', '"']) {
      const text = character.repeat(textBytesIn(frame));
      expect(
        client.Send.encode(client.Send.fromPartial({ clientMsgId, text })).finish().length + 12,
      ).toBeLessThan(frame);
      const json = JSON.stringify({
        type: 'SEND',
        ref: 65_535,
        key: '9223372036854775807',
        clientMsgId,
        text,
      });
      expect(json.length).toBeLessThanOrEqual(JSON_FACTOR * frame);
    }
  },
);
