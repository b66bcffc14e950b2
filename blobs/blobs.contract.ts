/** Contract of Blobs, run by each implementation's test. */
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BlobInfo, Blobs } from './blobs.ts';

export function blobsContract(name: string, open: () => Promise<Blobs>): void {
  describe(`${name}: contract`, () => {
    let blobs: Blobs;
    const newKey = () => `test/${randomUUID()}.bin`;

    beforeAll(async () => {
      blobs = await open();
    });
    afterAll(async () => {
      await blobs.close();
    });

    async function put(key: string, content: Uint8Array, contentType = 'text/plain'): Promise<BlobInfo> {
      const info = { key, bytes: content.byteLength, contentType };
      await blobs.put(info, Readable.from([content]));
      return info;
    }

    async function read(key: string): Promise<Buffer | undefined> {
      const found = await blobs.get(key);
      return found === undefined ? undefined : buffer(found.body);
    }

    test('put and get: the same bytes, size and content type', async () => {
      const content = randomBytes(3_000_000);
      const info = await put(newKey(), content, 'image/png; charset="x"');
      const found = await blobs.get(info.key);
      expect(found?.info).toEqual(info);
      expect(found && (await buffer(found.body)).equals(content)).toBe(true);
    });

    test('put: an empty file', async () => {
      const info = await put(newKey(), Buffer.alloc(0));
      const found = await blobs.get(info.key);
      expect(found?.info).toEqual(info);
      expect(found && (await buffer(found.body)).length).toBe(0);
    });

    test('put: from a source of many small parts and of strings', async () => {
      const key = newKey();
      const parts = Array.from({ length: 1000 }, (_, i) => `part ${i}\n`);
      const text = parts.join('');
      await blobs.put(
        { key, bytes: Buffer.byteLength(text), contentType: 'text/plain' },
        Readable.from(parts),
      );
      expect((await read(key))?.toString()).toBe(text);
    });

    test('put: replaces; a reader of the old file still reads all of it', async () => {
      const key = newKey();
      const [before, after] = [randomBytes(1_000_000), randomBytes(50)];
      await put(key, before, 'a/a');
      const old = await blobs.get(key);
      await put(key, after, 'b/b');
      expect(old && (await buffer(old.body)).equals(before)).toBe(true);
      expect((await read(key))?.equals(after)).toBe(true);
      expect((await blobs.get(key))?.info).toMatchObject({ bytes: 50, contentType: 'b/b' });
    });

    test.each([
      ['shorter', 1000, 999],
      ['empty', 1, 0],
      ['longer', 1000, 1001],
      ['not empty', 0, 1],
    ])('put: a source that is %s than said is a RangeError and changes nothing', async (_, bytes, real) => {
      const key = newKey();
      await put(key, Buffer.from('before'));
      const source = Readable.from([Buffer.alloc(real)]);
      await expect(blobs.put({ key, bytes, contentType: 'a/b' }, source)).rejects.toThrow(RangeError);
      expect(source.destroyed).toBe(true);
      expect((await read(key))?.toString()).toBe('before');
    });

    test('put: an endless source is stopped', async () => {
      let made = 0;
      async function* endless() {
        for (;;) {
          made++;
          yield Buffer.alloc(65_536);
        }
      }
      const key = newKey();
      const put = blobs.put({ key, bytes: 1_000_000, contentType: 'a/b' }, Readable.from(endless()));
      await expect(put).rejects.toThrow(RangeError);
      expect(made).toBeLessThan(100);
      expect(await blobs.get(key)).toBeUndefined();
    });

    test('put: a source that fails passes its error on and stores nothing', async () => {
      const key = newKey();
      const error = new Error('the client went away');
      async function* failing() {
        yield Buffer.alloc(10);
        throw error;
      }
      const put = blobs.put({ key, bytes: 20, contentType: 'a/b' }, Readable.from(failing()));
      await expect(put).rejects.toBe(error);
      expect(await blobs.get(key)).toBeUndefined();
    });

    test('keys: one that is a prefix of another is a file of its own', async () => {
      const key = `test/${randomUUID()}`;
      await put(key, Buffer.from('short'));
      await put(`${key}/more`, Buffer.from('long'));
      expect((await read(key))?.toString()).toBe('short');
      expect((await read(`${key}/more`))?.toString()).toBe('long');
      await blobs.delete(key);
      expect((await read(`${key}/more`))?.toString()).toBe('long');
    });

    test('keys: 256 characters and every allowed one', async () => {
      const chars = 'AZaz09._-';
      const key = `${randomUUID()}/${chars}/`.padEnd(256, 'x');
      await put(key, Buffer.from('content'));
      expect((await read(key))?.toString()).toBe('content');
    });

    test.each([
      '',
      '/',
      '/etc/passwd',
      'a/',
      'a//b',
      '.',
      '..',
      'a/../b',
      './a',
      'a/..',
      'ä',
      'a b',
      'a\\b',
      'a%2e',
      'a?b',
      'a\0',
      'x'.repeat(257),
    ])('keys: %j is a RangeError', async (key) => {
      const source = Readable.from([]);
      await expect(blobs.put({ key, bytes: 0, contentType: 'a/b' }, source)).rejects.toThrow(RangeError);
      expect(source.destroyed).toBe(true);
      await expect(blobs.get(key)).rejects.toThrow(RangeError);
      await expect(blobs.delete(key)).rejects.toThrow(RangeError);
    });

    test.each([-1, 1.5, Number.NaN])('put: a size of %d is a RangeError', async (bytes) => {
      const put = blobs.put({ key: newKey(), bytes, contentType: 'a/b' }, Readable.from([]));
      await expect(put).rejects.toThrow(RangeError);
    });

    test.each(['', ' a/b', 'a/b\r\nx-evil: 1', 'ä/b', 'x'.repeat(256)])(
      'put: content type %j is a RangeError',
      async (contentType) => {
        const put = blobs.put({ key: newKey(), bytes: 0, contentType }, Readable.from([]));
        await expect(put).rejects.toThrow(RangeError);
      },
    );

    test('get: undefined for a missing file', async () => {
      expect(await blobs.get(newKey())).toBeUndefined();
    });

    test('get: a body that is not read can be destroyed', async () => {
      const info = await put(newKey(), randomBytes(2_000_000));
      const found = await blobs.get(info.key);
      const closed = found && once(found.body, 'close');
      found?.body.on('error', () => undefined).destroy();
      await closed;
      expect((await read(info.key))?.length).toBe(2_000_000);
    });

    test('delete: removes; a repeat does nothing', async () => {
      const info = await put(newKey(), Buffer.from('x'));
      await blobs.delete(info.key);
      expect(await blobs.get(info.key)).toBeUndefined();
      await blobs.delete(info.key);
    });

    test('ping: answers', async () => {
      await expect(blobs.ping()).resolves.toBeUndefined();
    });

    test('close: is idempotent; every method then rejects with BLOBS_UNAVAILABLE', async () => {
      const closed = await open();
      await closed.close();
      await closed[Symbol.asyncDispose]();
      const unavailable = { code: 'BLOBS_UNAVAILABLE' };
      const source = Readable.from([]);
      const put = closed.put({ key: 'k', bytes: 0, contentType: 'a/b' }, source);
      await expect(put).rejects.toMatchObject(unavailable);
      expect(source.destroyed).toBe(true);
      await expect(closed.get('k')).rejects.toMatchObject(unavailable);
      await expect(closed.delete('k')).rejects.toMatchObject(unavailable);
      await expect(closed.ping()).rejects.toMatchObject(unavailable);
    });
  });
}
