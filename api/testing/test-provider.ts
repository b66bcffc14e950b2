/** An OpenID Connect provider for tests, which logs everybody in as one user without asking. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

export interface TestProvider extends AsyncDisposable {
  readonly issuer: string;
  /** Claims of the next ID tokens, over the right ones. */
  claims: JWTPayload;
  /** Whether ID tokens are signed with another key than the published one. */
  forges: boolean;
}

const CLIENT = 'gochat';

export async function startProvider(): Promise<TestProvider> {
  const [own, foreign] = [await generateKeyPair('RS256'), await generateKeyPair('RS256')];
  const jwk = { ...(await exportJWK(own.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
  /** Codes that were given out, with the nonce and the challenge of each. */
  const codes = new Map<string, { nonce: string; challenge: string }>();
  const provider = { issuer: '', claims: {} as JWTPayload, forges: false };

  const idToken = (nonce: string) =>
    new SignJWT({ nonce, preferred_username: 'Ann@example.org', ...provider.claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'one' })
      .setIssuer(provider.claims.iss ?? provider.issuer)
      .setAudience((provider.claims.aud as string | undefined) ?? CLIENT)
      .setSubject(provider.claims.sub ?? 'subject-1')
      .setIssuedAt()
      .setExpirationTime(provider.claims.exp ?? '5m')
      .sign((provider.forges ? foreign : own).privateKey);

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', provider.issuer);
    const json = (body: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (url.pathname === '/.well-known/openid-configuration')
      return json({
        issuer: provider.issuer,
        authorization_endpoint: `${provider.issuer}/authorize`,
        token_endpoint: `${provider.issuer}/token`,
        jwks_uri: `${provider.issuer}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
        code_challenge_methods_supported: ['S256'],
      });
    if (url.pathname === '/jwks') return json({ keys: [jwk] });
    if (url.pathname === '/authorize') {
      const code = `code-${codes.size + 1}`;
      const given = (name: string) => url.searchParams.get(name) ?? '';
      codes.set(code, { nonce: given('nonce'), challenge: given('code_challenge') });
      const back = new URL(given('redirect_uri'));
      back.search = new URLSearchParams({ code, state: given('state') }).toString();
      return response.writeHead(302, { location: back.href }).end();
    }
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      const form = new URLSearchParams(text);
      const known = codes.get(form.get('code') ?? '');
      codes.delete(form.get('code') ?? '');
      if (known?.challenge === challengeOf(form.get('code_verifier') ?? ''))
        void idToken(known.nonce).then((token) =>
          json({ access_token: 'x', token_type: 'Bearer', expires_in: 60, id_token: token }),
        );
      else json({ error: 'invalid_grant' }, 400);
    });
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  provider.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(provider, {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}
