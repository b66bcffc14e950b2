/** A fetch for tests that acts as the API server and ipconf; the password of every account is `secret`. */
import type { FakeGateway } from './fake-gateway.ts';

export class FakeDirectory {
  readonly gateways: FakeGateway[];
  /** Addresses listed before the gateways. */
  readonly first: { ip: string; port: number; ws_port?: number }[] = [];
  logins = 0;
  lists = 0;
  /** Lifetime of new tokens, ms. */
  tokenMs = 3_600_000;
  /** Queries of /ip/list, in order. */
  readonly queries: Record<string, string>[] = [];
  /** Further fields of the list's answer. */
  more: Record<string, unknown> = {};
  /** Replacement answers, by path. */
  readonly instead = new Map<string, () => Response>();

  constructor(...gateways: FakeGateway[]) {
    this.gateways = gateways;
  }

  readonly fetch = (url: string, init: RequestInit): Promise<Response> => {
    const { pathname, searchParams } = new URL(url);
    const instead = this.instead.get(pathname);
    if (pathname === '/auth/login') this.logins++;
    if (pathname === '/ip/list') {
      this.lists++;
      this.queries.push(Object.fromEntries(searchParams));
    }
    try {
      if (instead !== undefined) return Promise.resolve(instead());
    } catch (error) {
      return Promise.reject(error);
    }
    if (pathname === '/auth/login') return Promise.resolve(this.#logIn(JSON.parse(init.body as string)));
    const data = this.gateways.map(({ port }) => ({ ip: '127.0.0.1', port, ws_port: port, score: 1 }));
    return Promise.resolve(
      Response.json({ code: 'OK', message: '', data: [...this.first, ...data], ...this.more }),
    );
  };

  #logIn({ name, password }: { name: string; password: string }): Response {
    const user = this.gateways[0]?.chat.users.get(name);
    if (user === undefined || password !== 'secret') {
      const body = {
        code: 'CREDENTIALS_WRONG',
        message: 'The user name or the password is wrong. Check both.',
      };
      return Response.json(body, { status: 401 });
    }
    return Response.json({
      token: `${name}.${this.logins}`,
      expires_at_ms: new Date(Date.now() + this.tokenMs).toISOString(),
      user: { id: user.toString(), name },
    });
  }
}
