/** Access to the threads of a running gochat by Node's inspector, to break what cannot be broken from outside. */

/** NODE_OPTIONS for the inspector. */
export const INSPECTABLE = '--inspect=127.0.0.1:0';

interface Message {
  readonly method?: string;
  readonly params?: {
    readonly sessionId: string;
    readonly workerInfo?: { readonly title: string };
  };
}

export class Inspector implements Disposable {
  readonly #socket: WebSocket;
  /** Title of each worker thread that lives, by its session. */
  readonly #sessions = new Map<string, string>();
  readonly #look = new Set<() => void>();
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#take(JSON.parse(data as string) as Message));
  }

  /** @param stderr output of the process, which names the inspector's address */
  static async attach(stderr: string): Promise<Inspector> {
    const url = /ws:\/\/127\.0\.0\.1:\S+/.exec(stderr)?.[0];
    if (url === undefined) throw new Error(`no inspector: start it with NODE_OPTIONS=${INSPECTABLE}`);
    const socket = new WebSocket(url);
    const inspector = new Inspector(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)));
    });
    inspector.#send('NodeWorker.enable', { waitForDebuggerOnStart: false });
    return inspector;
  }

  /** Runs an expression in the thread whose title contains `title`, once there is one; it may end the thread. */
  async evaluate(title: string, expression: string): Promise<void> {
    const sessionId = await this.#session(title);
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } });
    this.#send('NodeWorker.sendMessageToWorker', { sessionId, message });
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #session(title: string): Promise<string> {
    return new Promise((resolve) => {
      const look = () => {
        const found = [...this.#sessions].find(([, name]) => name.includes(title));
        if (found === undefined) return;
        this.#look.delete(look);
        resolve(found[0]);
      };
      this.#look.add(look);
      look();
    });
  }

  #send(method: string, params: unknown): void {
    this.#socket.send(JSON.stringify({ id: ++this.#id, method, params }));
  }

  #take({ method, params }: Message): void {
    if (params === undefined) return;
    if (method === 'NodeWorker.attachedToWorker')
      this.#sessions.set(params.sessionId, params.workerInfo?.title ?? '');
    else if (method === 'NodeWorker.detachedFromWorker') this.#sessions.delete(params.sessionId);
    for (const look of this.#look) look();
  }
}
