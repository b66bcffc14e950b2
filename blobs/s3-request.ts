/** One signed request to an S3 service (AWS Signature Version 4). */
import { once } from 'node:events';
import { type Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { AwsV4Signer } from 'aws4fetch';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  readonly url: URL;
  /** @default no body */
  readonly body?: {
    /** Opens the body from its beginning. */
    readonly open: () => Readable;
    readonly bytes: number;
    /** SHA-256 of the body, in hex; S3 refuses a body that differs. */
    readonly sha256: string;
    readonly contentType: string;
  };
}

export interface S3Options {
  readonly credentials: S3Credentials;
  readonly region: string;
  readonly agent: HttpAgent | HttpsAgent;
  /** Silence of the peer that fails the request, ms. */
  readonly idleTimeoutMs: number;
}

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const MAX_ERROR_BYTES = 4096;

/** Returns the signed headers of a request. @param datetime YYYYMMDDTHHMMSSZ; @default now */
export async function signedHeaders(
  request: S3Request,
  options: Pick<S3Options, 'credentials' | 'region'>,
  datetime?: string,
): Promise<Record<string, string>> {
  const { accessKeyId, secretAccessKey, sessionToken } = options.credentials;
  const signer = new AwsV4Signer({
    method: request.method,
    url: request.url.href,
    headers: {
      'x-amz-content-sha256': request.body?.sha256 ?? EMPTY_SHA256,
      ...(request.body && { 'content-type': request.body.contentType }),
    },
    accessKeyId,
    secretAccessKey,
    ...(sessionToken !== undefined && { sessionToken }),
    service: 's3',
    region: options.region,
    ...(datetime !== undefined && { datetime }),
  });
  const { headers } = await signer.sign();
  return {
    ...Object.fromEntries(headers),
    ...(request.body && { 'content-length': String(request.body.bytes) }),
  };
}

/** Sends a request; resolves with the head of the answer. The caller reads the answer or destroys it. */
export async function sendS3(request: S3Request, options: S3Options): Promise<IncomingMessage> {
  const headers = await signedHeaders(request, options);
  const send = request.url.protocol === 'https:' ? httpsRequest : httpRequest;
  const outgoing = send(request.url, { method: request.method, headers, agent: options.agent });
  outgoing.setTimeout(options.idleTimeoutMs, () =>
    outgoing.destroy(new Error(`nothing came for ${options.idleTimeoutMs} ms`)),
  );
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  // After the answer has begun, errors show on it; and a service may answer before it has read everything.
  outgoing.on('error', () => undefined);
  const body = request.body?.open();
  if (body === undefined) outgoing.end();
  else body.on('error', (error) => outgoing.destroy(error)).pipe(outgoing);
  try {
    const [response] = await answered;
    return response;
  } finally {
    body?.destroy();
  }
}

/** Reads a short answer to its end, so that the connection can be reused. Returns S3's error code, if any. */
export async function finish(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) {
    if (text.length < MAX_ERROR_BYTES) text += (chunk as Buffer).toString('latin1');
  }
  return /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1] ?? '';
}
