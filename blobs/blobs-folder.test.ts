import { mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blobsContract } from './blobs.contract.ts';
import { openBlobs } from './mod.ts';

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gochat-test-blobs-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

blobsContract('BlobsFolder', () => openBlobs(`file://${dir}/contract`));

describe('BlobsFolder', () => {
  test('an upload that fails: leaves nothing behind', async () => {
    const blobs = await openBlobs(`file://${dir}/failing`);
    const put = blobs.put({ key: 'k', bytes: 5, contentType: 'a/b' }, Readable.from(['123']));
    await expect(put).rejects.toThrow(RangeError);
    expect(await filesIn(`${dir}/failing`)).toEqual([]);
  });

  test('many puts to one key at once: one remains, complete', async () => {
    const blobs = await openBlobs(`file://${dir}/at-once`);
    const contents = Array.from({ length: 8 }, (_, i) => Buffer.alloc(100_000 + i, i));
    const put = (body: Buffer) =>
      blobs.put({ key: 'k', bytes: body.length, contentType: 'a/b' }, Readable.from([body]));
    await Promise.all(contents.map(put));
    const left = Buffer.concat((await (await blobs.get('k'))?.body.toArray()) ?? []);
    expect(contents.some((content) => content.equals(left))).toBe(true);
    expect(await filesIn(`${dir}/at-once`)).toHaveLength(1);
  });

  test('files: are still there after reopening; only the owner may read them', async () => {
    const info = { key: 'a/b', bytes: 3, contentType: 'text/plain' };
    const first = await openBlobs(`file://${dir}/again`);
    await first.put(info, Readable.from(['abc']));
    await first.close();
    const second = await openBlobs(`file://${dir}/again`);
    const found = await second.get('a/b');
    expect(found?.info).toEqual(info);
    expect(await found?.body.toArray()).toEqual([Buffer.from('abc')]);
    const [file] = await filesIn(`${dir}/again`);
    expect((await stat(file ?? '')).mode & 0o777).toBe(0o600);
    expect((await stat(`${dir}/again/files`)).mode & 0o777).toBe(0o700);
  });

  test('a truncated file: BLOBS_UNAVAILABLE, not half a file', async () => {
    const blobs = await openBlobs(`file://${dir}/cut`);
    await blobs.put({ key: 'k', bytes: 3, contentType: 'a/b' }, Readable.from(['abc']));
    const [file] = await filesIn(`${dir}/cut`);
    const { size } = await stat(file ?? '');
    await truncate(file ?? '', size - 1);
    await expect(blobs.get('k')).rejects.toMatchObject({ code: 'BLOBS_UNAVAILABLE' });
    await truncate(file ?? '', 0);
    await expect(blobs.get('k')).rejects.toMatchObject({ code: 'BLOBS_UNAVAILABLE' });
  });

  test('leftovers of a crash: are deleted when old, and stay while they may be uploads', async () => {
    const blobs = await openBlobs(`file://${dir}/leftover`);
    await blobs.close();
    const incoming = `${dir}/leftover/incoming`;
    await writeFile(`${incoming}/old`, 'x');
    await utimes(`${incoming}/old`, 1, 1);
    await writeFile(`${incoming}/new`, 'x');
    await openBlobs(`file://${dir}/leftover`);
    expect(await readdir(incoming)).toEqual(['new']);
  });

  test('the folder vanishes: BLOBS_UNAVAILABLE', async () => {
    const blobs = await openBlobs(`file://${dir}/vanishing`);
    await rm(`${dir}/vanishing`, { recursive: true });
    const unavailable = { code: 'BLOBS_UNAVAILABLE' };
    await expect(blobs.ping()).rejects.toMatchObject(unavailable);
    const put = blobs.put({ key: 'k', bytes: 1, contentType: 'a/b' }, Readable.from(['a']));
    await expect(put).rejects.toMatchObject(unavailable);
  });
});

describe('openBlobs with a folder', () => {
  test('percent-encoded characters: are decoded', async () => {
    await openBlobs(`file://${dir}/with%20space`);
    expect(await readdir(dir)).toContain('with space');
  });

  test('a file where the folder should be: BLOBS_UNREACHABLE that says why', async () => {
    await writeFile(`${dir}/file`, '');
    const failure = openBlobs(`file://${dir}/file`);
    await expect(failure).rejects.toMatchObject({ code: 'BLOBS_UNREACHABLE' });
    await expect(failure).rejects.toThrow('ENOTDIR');
  });

  test.each(['file://folder', 'file://', 'file:///a%', 'file:///a%00b', '/folder', 'http://x'])(
    '%s: CONFIG_INVALID',
    async (url) => {
      await expect(openBlobs(url)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    },
  );
});

async function filesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
}
