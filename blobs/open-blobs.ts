/** Opens the store of uploaded files that a URL names. */
import { GochatError } from '../common/mod.ts';
import type { Blobs } from './blobs.ts';
import { BlobsFolder } from './blobs-folder.ts';
import { BlobsS3, type BlobsS3Options } from './blobs-s3.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_REGION = 'us-east-1';

/**
 * Opens `file:///ABSOLUTE/FOLDER`, `file://./RELATIVE/FOLDER` or `s3://[KEY:SECRET@]BUCKET[?endpoint=URL&region=NAME]`.
 *
 * Without credentials in the URL, S3's come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; the
 * region from AWS_REGION. With an endpoint the bucket is addressed by path, else as AWS does.
 *
 * Rejects with BLOBS_UNREACHABLE when the files cannot be used, CONFIG_INVALID when the URL is wrong.
 */
export async function openBlobs(url: string, env: Environment = process.env): Promise<Blobs> {
  const open = url.startsWith('file://') ? folderOf(url) : s3Of(url, env);
  try {
    return await open();
  } catch (error) {
    throw new GochatError('BLOBS_UNREACHABLE', {
      details: { url: redact(url), reason: reasonOf(error) },
      cause: error,
    });
  }
}

function folderOf(url: string): () => Promise<Blobs> {
  const text = url.slice('file://'.length);
  if (!/^\.{0,2}\//.test(text)) throw invalid(url, 'it must be file:///FOLDER or file://./FOLDER');
  let path: string;
  try {
    path = decodeURIComponent(text);
  } catch {
    // The only possible error: a percent sign that is not an escape.
    throw invalid(url, 'a percent sign in it is not written as %25');
  }
  if (path.includes('\0')) throw invalid(url, 'it has a null character');
  return () => BlobsFolder.open(path);
}

function s3Of(text: string, env: Environment): () => Promise<Blobs> {
  if (!text.startsWith('s3://')) throw invalid(text, 'it begins neither with file:// nor with s3://');
  if (!URL.canParse(text)) throw invalid(text, 'it is not a URL');
  const url = new URL(text);
  const bucket = url.hostname;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw invalid(text, `"${bucket}" is no name of a bucket`);
  if (!['', '/'].includes(url.pathname)) throw invalid(text, 'nothing may come between bucket and ?');
  for (const name of url.searchParams.keys())
    if (name !== 'endpoint' && name !== 'region')
      throw invalid(text, `it has an unknown parameter "${name}"`);
  const region = url.searchParams.get('region') ?? env['AWS_REGION'] ?? DEFAULT_REGION;
  const options: BlobsS3Options = {
    bucketUrl: bucketUrl(text, bucket, region, url.searchParams.get('endpoint')),
    region,
    credentials: credentialsOf(text, url, env),
  };
  return () => BlobsS3.open(options);
}

function bucketUrl(text: string, bucket: string, region: string, endpoint: string | null): URL {
  if (endpoint === null) {
    // A bucket name with dots does not match the certificate of *.s3.REGION.amazonaws.com.
    const host = `s3.${region}.amazonaws.com`;
    return new URL(bucket.includes('.') ? `https://${host}/${bucket}` : `https://${bucket}.${host}/`);
  }
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint))
    throw invalid(text, 'its endpoint is not a URL with http:// or https://');
  const url = new URL(endpoint);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${bucket}`;
  return url;
}

function credentialsOf(text: string, url: URL, env: Environment): BlobsS3Options['credentials'] {
  if (url.username !== '' && url.password !== '')
    return {
      accessKeyId: decodeURIComponent(url.username),
      secretAccessKey: decodeURIComponent(url.password),
    };
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey)
    throw invalid(text, 'it has no KEY:SECRET@, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set');
  return { accessKeyId, secretAccessKey, sessionToken: env['AWS_SESSION_TOKEN'] };
}

function reasonOf(error: unknown): string {
  const cause = error instanceof GochatError ? error.cause : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}

function invalid(url: string, reason: string): GochatError {
  return new GochatError('CONFIG_INVALID', {
    details: { what: `File-store URL ${redact(url)}: ${reason}.` },
  });
}

/** Returns the URL without its secret. */
function redact(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@]*@/, '$1:***@');
}
