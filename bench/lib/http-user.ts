/** An account as its owner uses it over HTTP, from an address of its own. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';

const PASSWORD = 'the owner knows it';

export class HttpUser {
  readonly name: string;
  readonly #api: string;
  readonly #address: string;

  /** @param address of 127.0.0.0/8 */
  constructor(api: string, name: string, address: string) {
    this.#api = api;
    this.name = name;
    this.#address = address;
  }

  /** Makes the account. */
  async signUp(): Promise<void> {
    const status = await this.#post('/auth/signup');
    if (status !== 201) throw new Error(`The account ${this.name} cannot be made: HTTP ${status}.`);
  }

  /** Logs in; returns the HTTP status. */
  async logIn(): Promise<number> {
    return await this.#post('/auth/login');
  }

  async #post(path: string): Promise<number> {
    const asked = request(`${this.#api}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      localAddress: this.#address,
      agent: false,
    });
    asked.end(JSON.stringify({ name: this.name, password: PASSWORD }));
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.resume();
    await once(answer, 'end');
    return answer.statusCode as number;
  }
}
