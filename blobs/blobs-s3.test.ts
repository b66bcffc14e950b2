import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type S3Server, startS3 } from '../test/harness/s3.ts';
import { blobsContract } from './blobs.contract.ts';
import { openBlobs } from './mod.ts';
import { signedHeaders } from './s3-request.ts';
import { within } from '../test/harness/eventually.ts';

const BUCKET = 'gochat-files';
const unavailable = { code: 'BLOBS_UNAVAILABLE' };

let s3: S3Server;

beforeAll(async () => {
  s3 = await startS3(BUCKET);
});
afterAll(async () => {
  await s3[Symbol.asyncDispose]();
});

function urlOf(endpoint: string, bucket = BUCKET): string {
  return `s3://S3RVER:S3RVER@${bucket}?endpoint=${endpoint}&region=eu-central-1`;
}

blobsContract('BlobsS3', () => openBlobs(urlOf(s3.endpoint)));

describe('openBlobs with S3', () => {
  test('credentials: may come from the environment', async () => {
    const env = { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey };
    await using blobs = await openBlobs(`s3://${BUCKET}?endpoint=${s3.endpoint}`, env);
    await blobs.ping();
  });

  test('no such bucket: BLOBS_UNREACHABLE, without the secret', async () => {
    const failure = openBlobs(urlOf(s3.endpoint, 'other-bucket').replace(':S3RVER@', ':sesame@'));
    await expect(failure).rejects.toMatchObject({ code: 'BLOBS_UNREACHABLE' });
    await expect(failure).rejects.toThrow(/S3RVER:\*\*\*@other-bucket.*S3 answered 404/);
  });

  test('unknown key id: BLOBS_UNREACHABLE', async () => {
    const failure = openBlobs(`s3://nobody:x@${BUCKET}?endpoint=${s3.endpoint}`);
    await expect(failure).rejects.toThrow('S3 answered 403');
  });

  test.each([
    's3://',
    's3://k:s@Bad_Bucket',
    's3://k:s@bucket/folder',
    's3://k:s@bucket?endpoint=minio:9000',
    's3://k:s@bucket?zone=1',
    's3://bucket',
  ])('%s: CONFIG_INVALID', async (url) => {
    await expect(openBlobs(url, {})).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('signature', () => {
  test('GET Bucket Lifecycle: as in the example of the Amazon S3 API Reference', async () => {
    const headers = await signedHeaders(
      { method: 'GET', url: new URL('https://examplebucket.s3.amazonaws.com/?lifecycle') },
      {
        credentials: {
          accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
          secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
        },
        region: 'us-east-1',
      },
      '20130524T000000Z',
    );
    expect(headers['authorization']).toContain(
      'SignedHeaders=host;x-amz-content-sha256;x-amz-date, ' +
        'Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    );
  });
});

describe('BlobsS3 on a service that fails', () => {
  test('503 twice, then a cut connection: the upload is sent again, whole', async () => {
    const bodies: string[] = [];
    let puts = 0;
    await using server = await serve((request, response) => {
      puts++;
      if (puts === 3) request.socket.destroy();
      else
        void buffer(request).then((body) => {
          bodies.push(body.toString());
          response.writeHead(puts < 3 ? 503 : 200).end();
        });
    });
    await using blobs = await openBlobs(urlOf(server.url));
    await blobs.put({ key: 'k', bytes: 5, contentType: 'a/b' }, Readable.from(['he', 'llo']));
    expect(bodies).toEqual(['hello', 'hello', 'hello']);
    expect(puts).toBe(4);
  });

  test('a refusal before the body is read: its code is the cause', async () => {
    await using server = await serve((request, response) => {
      request.resume();
      response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
    });
    await using blobs = await openBlobs(urlOf(server.url));
    const put = blobs.put(
      { key: 'k', bytes: 3_000_000, contentType: 'a/b' },
      Readable.from([Buffer.alloc(3_000_000)]),
    );
    await expect(put).rejects.toMatchObject({
      ...unavailable,
      cause: expect.objectContaining({ message: 'S3 answered 403 AccessDenied' }),
    });
  });

  test('500 repeatedly: BLOBS_UNAVAILABLE after a few attempts', async () => {
    let gets = 0;
    await using server = await serve((_, response) => {
      gets++;
      response.writeHead(500).end();
    });
    await using blobs = await openBlobs(urlOf(server.url));
    await expect(blobs.get('k')).rejects.toMatchObject(unavailable);
    expect(gets).toBe(4);
  });

  test('a bucket that was removed: BLOBS_UNAVAILABLE, not a missing file', async () => {
    await using server = await serve((_, response) => {
      response.writeHead(404).end('<Error><Code>NoSuchBucket</Code></Error>');
    });
    await using blobs = await openBlobs(urlOf(server.url));
    await expect(blobs.get('k')).rejects.toMatchObject(unavailable);
  });

  test('a download that is cut off: its body fails', async () => {
    await using server = await serve((request, response) => {
      response.writeHead(200, { 'content-length': 1000, 'content-type': 'a/b' });
      response.write('half', () => request.socket.destroy());
    });
    await using blobs = await openBlobs(urlOf(server.url));
    const found = await blobs.get('k');
    expect(found?.info).toEqual({ key: 'k', bytes: 1000, contentType: 'a/b' });
    await expect(found && buffer(found.body)).rejects.toThrow();
  });

  test('silence: the attempt is given up; close ends the wait', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    await using server = await serve(() => resolve());
    const blobs = await openBlobs(urlOf(server.url));
    const get = blobs.get('k');
    await within('a request', asked);
    await Promise.all([expect(get).rejects.toMatchObject(unavailable), blobs.close()]);
  });
});

/** A service that has every bucket; `listener` gets all that concerns files. */
async function serve(listener: RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    if (request.method === 'HEAD') response.end();
    else listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
