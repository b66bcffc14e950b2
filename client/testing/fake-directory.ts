/** A fetch for tests that acts as the API server and ipconf; the password of every account is `secret`. */
import type { FakeGateway } from './fake-gateway.ts';

export class FakeDirectory {
  readonly gateways: FakeGateway[];
  /** Addresses listed before the gateways. */
  readonly first: { ip: string; port: number; ws_port?: number }[] = [];
  logins = 0;
  refreshes = 0;
  /** The only refresh token that is good, and whose it is. */
  #refresh = { token: '', name: '' };
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
    if (pathname === '/auth/refresh') return Promise.resolve(this.#renew(JSON.parse(init.body as string)));
    if (pathname === '/auth/logout') return Promise.resolve(Response.json({ status: 'ok' }));
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
    return this.#answer(name, user);
  }

  #renew({ refresh_token }: { refresh_token?: string }): Response {
    const { token, name } = this.#refresh;
    const user = this.gateways[0]?.chat.users.get(name);
    if (user === undefined || refresh_token !== token)
      return Response.json({ code: 'REFRESH_INVALID', message: 'It has ended.' }, { status: 401 });
    this.refreshes++;
    return this.#answer(name, user);
  }

  /** Ends the session: its refresh token is void. */
  endSession(): void {
    this.#refresh = { token: '', name: '' };
  }

  #answer(name: string, user: bigint): Response {
    const number = this.logins + this.refreshes;
    this.#refresh = { token: `refresh.${number}`, name };
    return Response.json({
      token: `${name}.${number}`,
      expires_at_ms: new Date(Date.now() + this.tokenMs).toISOString(),
      refresh_token: this.#refresh.token,
      session: '7',
      user: { id: user.toString(), name },
    });
  }
}
