/** Runs a garbage collection in a Node process through its inspector, so that its memory is what it really holds. */
import { once } from 'node:events';

interface Incoming {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly sessionId?: string; readonly message?: string };
}

/** Collects garbage in the process whose inspector listens at the URL, worker threads included. */
export async function collectGarbage(url: string): Promise<void> {
  const socket = new WebSocket(url);
  const closed = once(socket, 'close').then(() =>
    Promise.reject(new Error(`the inspector ${url} went away`)),
  );
  // Once all is done it is closed on purpose.
  closed.catch(() => undefined);
  await Promise.race([once(socket, 'open'), closed]);
  const answered = new Map<number, () => void>();
  const workers: string[] = [];
  const take = (text: string): void => {
    const { id, method, params } = JSON.parse(text) as Incoming;
    if (method === 'NodeWorker.attachedToWorker') workers.push(params?.sessionId ?? '');
    else if (method === 'NodeWorker.receivedMessageFromWorker') take(params?.message ?? '{}');
    else if (id !== undefined) answered.get(id)?.();
  };
  socket.addEventListener('message', ({ data }) => take(String(data)));
  let last = 0;
  const ask = (method: string, params: object = {}, worker?: string): Promise<unknown> => {
    const answer = Promise.withResolvers<void>();
    const message = JSON.stringify({ id: ++last, method, params });
    answered.set(last, answer.resolve);
    if (worker === undefined) socket.send(message);
    else void ask('NodeWorker.sendMessageToWorker', { sessionId: worker, message });
    return Promise.race([answer.promise, closed]);
  };
  try {
    await ask('NodeWorker.enable', { waitForDebuggerOnStart: false });
    await ask('HeapProfiler.collectGarbage');
    await Promise.all(workers.map((worker) => ask('HeapProfiler.collectGarbage', {}, worker)));
  } finally {
    socket.close();
  }
}
