/** Tests the load generator's self-check: servers that lose, repeat, reorder or misnumber messages are each caught. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LoadGenerator, type LoadResult } from '../lib/load.ts';
import { BareParser, JOIN, joined, message, SEND, sent } from '../peers/bare-frame.ts';
import { startBareFanout, startSocketIo } from '../peers/bare.ts';
import { anonymous, type Target } from '../peers/peer.ts';

/** Changes what the receivers of the n-th message get; `held` is what the fault holds back. */
type Fault = (frame: Buffer, n: number, held: Buffer[]) => readonly Buffer[];

const NTH = 20;
const FAULTS: Readonly<Record<string, { fault: Fault; error: string }>> = {
  'a message lost': { fault: (frame, n) => (n === NTH ? [] : [frame]), error: 'a receiver lacks messages' },
  'a message twice': {
    fault: (frame, n) => (n === NTH ? [frame, frame] : [frame]),
    error: "a sender's messages twice or out of order",
  },
  'two messages swapped': {
    fault: (frame, n, held) => {
      if (n !== NTH) return [frame, ...held.splice(0)];
      held.push(frame);
      return [];
    },
    error: 'seq twice or out of order',
  },
  'a gap in the seqs': {
    fault: (frame, n) => {
      const changed = Buffer.from(frame);
      if (n >= NTH) changed.writeUInt32BE(frame.readUInt32BE(16) + 1, 16);
      return [changed];
    },
    error: "a connection's seqs do not add up to the acks",
  },
};

let folder: string;
let load: LoadGenerator;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gochat-load-'));
  load = await LoadGenerator.build(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A room server that follows the bare protocol, except for the fault. */
async function serve(fault: Fault): Promise<{ port: number } & Disposable> {
  const members: Socket[] = [];
  const held: Buffer[] = [];
  let seq = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const parser = new BareParser();
    socket.on('data', (chunk) =>
      parser.push(chunk, (frame) => {
        if (frame[4] === JOIN) {
          members.push(socket);
          socket.write(joined(frame));
        } else if (frame[4] === SEND) {
          const out = fault(message(frame, ++seq), seq, held);
          for (const member of members) for (const each of out) if (member !== socket) member.write(each);
          socket.write(sent(frame, seq));
        }
      }),
    );
    // The generator ends as soon as it has seen enough.
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]: () => {
      for (const member of members) member.destroy();
      server.close();
    },
  };
}

/** An XMPP server for two accounts, "u1a" and "u1b", that does all that the generator needs and hides the n-th message. */
async function serveXmpp(hidden: number): Promise<{ port: number; acks: string[] } & Disposable> {
  const sessions = new Map<string, Socket>();
  const acks: string[] = [];
  let relayed = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    let rest = '';
    let account = '';
    let handled = 0;
    const answers: readonly (readonly [RegExp, (found: RegExpExecArray) => void])[] = [
      [
        /^<stream:stream [^>]*>/,
        () => socket.write('<stream:stream id="1"><stream:features><bind/></stream:features>'),
      ],
      [
        /^<auth [^>]*>([^<]+)<\/auth>/,
        ([, token]) => {
          account = Buffer.from(token as string, 'base64')
            .toString()
            .split('\0')[1] as string;
          sessions.set(account, socket);
          socket.write("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        },
      ],
      [/^<iq .*?<\/iq>/, () => socket.write("<iq type='result' id='bind'><bind><jid>x</jid></bind></iq>")],
      [/^<presence\/>/, () => socket.write(`<presence from='${account}@localhost'/>`)],
      [/^<enable [^>]*>/, () => socket.write("<enabled xmlns='urn:xmpp:sm:3'/>")],
      [/^<r [^>]*>/, () => socket.write(`<a h='${handled}' xmlns='urn:xmpp:sm:3'/>`)],
      [/^<a [^>]* h='(\d+)'\/>/, ([, h]) => acks.push(h as string)],
      [
        /^<message type='chat' to='(\w+)@localhost' id='\d+'>(.*?)<\/message>/,
        ([, to, inner]) => {
          handled++;
          if (++relayed === hidden) return;
          const receiver = sessions.get(to as string);
          // In two writes: a stanza may arrive in pieces.
          receiver?.write(`<message type='chat' from='${account}@localhost'><archived by='x'/>`);
          setImmediate(() => receiver?.write(`${inner}</message><r xmlns='urn:xmpp:sm:3'/>`));
        },
      ],
    ];
    socket.on('data', (chunk) => {
      rest += String(chunk);
      for (let more = true; more; ) {
        more = false;
        for (const [pattern, answer] of answers) {
          const found = pattern.exec(rest);
          if (found === null) continue;
          rest = rest.slice(found[0].length);
          answer(found);
          more = true;
        }
      }
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    acks,
    [Symbol.dispose]: () => {
      for (const socket of sessions.values()) socket.destroy();
      server.close();
    },
  };
}

async function runAgainst(fault: Fault, rate: number): Promise<LoadResult> {
  using server = await serve(fault);
  const workload = { scenario: 'room', connections: 3 } as const;
  const connections = anonymous(workload, 1);
  const { load: result } = await load.run(
    {
      ...workload,
      protocol: 'bare',
      ports: [server.port],
      connections,
      rate,
      seconds: 0.3,
      warmup: 0,
      drain: 0.5,
    },
    [],
    new AbortController().signal,
  );
  return result;
}

describe('self-check', () => {
  test('a correct server: everything adds up', async () => {
    const result = await runAgainst((frame) => [frame], 1000);
    expect(result.errors).toEqual({});
    expect(result.ack_ms.count).toBeGreaterThan(NTH);
    expect(result.delivery_ms.count).toBeGreaterThan(NTH * 2);
  });

  test.each(Object.entries(FAULTS))('%s: caught', async (_name, { fault, error }) => {
    const result = await runAgainst(fault, 1000);
    expect(result.errors).toHaveProperty(error);
  });

  test('the last message lost: caught, although nothing follows it', async () => {
    let last: Buffer | undefined;
    // Everything is one message late, so the newest one is always missing.
    const result = await runAgainst((frame) => {
      const before = last;
      last = frame;
      return before === undefined ? [] : [before];
    }, 1000);
    expect(result.errors).toHaveProperty('deliveries missing');
    expect(result.errors).toHaveProperty('a receiver lacks messages');
  });
});

describe('the open loop', () => {
  test('a server that stalls to the end: each message counts with its whole wait', async () => {
    const stalled: (() => void)[] = [];
    let release = (answer: () => void): void => {
      stalled.push(answer);
    };
    const server = createServer((socket) => {
      const parser = new BareParser();
      socket.on('data', (chunk) =>
        parser.push(chunk, (frame) => {
          if (frame[4] === JOIN) socket.write(joined(frame));
          else if (frame[4] === SEND) release(() => socket.write(sent(frame, 0)));
        }),
      );
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { load: result } = await load.run(
      {
        protocol: 'bare',
        scenario: 'direct',
        ports: [(server.address() as AddressInfo).port],
        connections: [{ conversation: 1n, sends: true, token: '-' }],
        rate: 100,
        seconds: 0.5,
        warmup: 0,
      },
      [],
      new AbortController().signal,
      (phase) => {
        if (phase !== 'measured') return;
        release = (answer) => answer();
        for (const answer of stalled.splice(0)) answer();
      },
    );
    server.close();
    expect(result.errors).toEqual({});
    expect(result.acked_in_all).toBeGreaterThan(1);
    // The last may have been due at the very end.
    expect(result.ack_ms.count).toBeGreaterThanOrEqual(result.acked_in_all - 1);
  });

  test('first sends: every conversation of every pair has been used before the measurement starts', async () => {
    const met = new Set<bigint>();
    using server = await serve((frame) => {
      met.add(frame.readBigUInt64BE(8));
      return [frame];
    });
    const conversations = [1n, 2n, 3n, 4n];
    const { load: result } = await load.run(
      {
        protocol: 'bare',
        scenario: 'direct',
        ports: [server.port],
        connections: Array.from({ length: 2 }, () => {
          return { conversation: 1n, conversations, sends: true, token: '-' };
        }),
        window: 1,
        firstSends: 4,
        rate: 1,
        seconds: 0.01,
        warmup: 0,
      },
      [],
      new AbortController().signal,
    );
    expect(result.errors).toEqual({});
    expect(result.acked_in_all).toBe(5);
    expect(met).toEqual(new Set(conversations));
  });
});

describe('protocols', () => {
  test.each([
    ['a bare loop on TCP', () => startBareFanout('bare-loop', 'joined')],
    ['a bare loop that joins nothing', () => startBareFanout('bare-each', 'each')],
    ['a bare loop on WebSocket', () => startBareFanout('bare-ws', 'ws')],
    ['Socket.IO', () => startSocketIo()],
  ])('%s: direct and room add up', async (_name, start) => {
    await using peer = await start();
    for (const scenario of ['direct', 'room'] as const) {
      const workload = { scenario, connections: 6 };
      const target = (await peer.open(workload)) as Target;
      const run = { ...workload, ...target, window: 2, seconds: 0.2, warmup: 0 };
      const { load: result } = await load.run(run, [], new AbortController().signal);
      expect(result.errors).toEqual({});
      expect(result.ack_ms.count).toBeGreaterThan(0);
      expect(result.delivery_ms.count).toBeGreaterThan(0);
    }
  });

  test.each([
    ['all messages come', 0, {}],
    ['one does not', NTH, { 'deliveries missing': 1, 'a receiver lacks messages': 1 }],
  ])('XMPP: %s, and it says so', async (_name, hidden, errors) => {
    using server = await serveXmpp(hidden);
    const connections = ['u1a', 'u1b'].map((account) => {
      const token = Buffer.from(`\0${account}\0secret`).toString('base64');
      // Only one of them sends, so that the other's stanzas arrive one after another.
      return { conversation: 1n, sends: account === 'u1a', token };
    });
    const { load: result } = await load.run(
      {
        protocol: 'xmpp',
        scenario: 'direct',
        ports: [server.port],
        connections,
        window: 1,
        seconds: 2,
        warmup: 0,
        drain: 2,
      },
      [],
      new AbortController().signal,
    );
    expect(result.errors).toEqual(errors);
    expect(result.acked_in_all).toBeGreaterThan(NTH);
    expect(server.acks.length).toBeGreaterThan(0);
  });

  test('connections that the server ends: all reconnect', async () => {
    const connections = anonymous({ scenario: 'idle', connections: 20 }, 1);
    const members: Socket[] = [];
    const server = createServer((socket) => {
      members.push(socket);
      socket.on('data', (chunk) => socket.write(joined(chunk)));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const phases: string[] = [];
    const { port } = server.address() as AddressInfo;
    const { load: result } = await load.run(
      {
        protocol: 'bare',
        scenario: 'idle',
        ports: [port],
        connections,
        seconds: 20,
        warmup: 0,
        reconnect: true,
      },
      [],
      new AbortController().signal,
      (phase) => {
        phases.push(phase);
        if (phase === 'connected') for (const member of members.splice(0)) member.destroy();
      },
    );
    for (const member of members) member.destroy();
    server.close();
    expect(result.errors).toEqual({});
    expect(phases).toEqual(['connect', 'connected', 'lost', 'served']);
  });
});
