/** NATS and mosquitto from Debian's packages, with standard settings except ports and the limits named here. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Child } from '../lib/child.ts';
import { freePorts } from '../lib/ports.ts';
import { anonymous, type Peer, type Workload } from './peer.ts';

const STREAM = {
  name: 'S',
  subjects: ['s.>'],
  storage: 'file',
  retention: 'limits',
  discard: 'old',
  max_msgs: -1,
  max_bytes: -1,
  num_replicas: 1,
};

/** Starts nats-server: core NATS for rooms, JetStream on file for direct messages. */
export async function startNats(folder: string): Promise<Peer> {
  const [port] = await freePorts(1);
  const child = new Child('nats-server', 'nats-server', [
    '-a',
    '127.0.0.1',
    '-p',
    String(port),
    '-js',
    '-sd',
    folder,
  ]);
  try {
    await child.until((output) => (output.includes('Server is ready') ? true : undefined));
    await createStream(port as number);
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
  return broker('nats', child, port as number, {
    durability: 'direct: JetStream file, fsync every 2 min; room: none',
    direct: 'jetstream',
    room: 'nats',
  });
}

/** Starts mosquitto: QoS 1 for direct messages, QoS 0 for rooms. */
export async function startMosquitto(folder: string): Promise<Peer> {
  const [port] = await freePorts(1);
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'mosquitto.conf');
  writeFileSync(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\nmax_queued_messages 0\n`,
  );
  const child = new Child('mosquitto', 'mosquitto', ['-c', config]);
  try {
    await child.until((output) => (output.includes('running') ? true : undefined));
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
  return broker('mosquitto', child, port as number, {
    durability: 'direct: QoS 1 in memory; room: QoS 0',
    direct: 'mqtt1',
    room: 'mqtt0',
  });
}

function broker(
  name: string,
  child: Child,
  port: number,
  how: { durability: string; direct: 'jetstream' | 'mqtt1'; room: 'nats' | 'mqtt0' },
): Peer {
  let next = 1;
  return {
    name,
    durability: how.durability,
    servers: [{ name, pid: child.pid }],
    open: async (workload: Workload) => {
      const first = next;
      next += workload.connections;
      return {
        protocol: workload.scenario === 'direct' ? how.direct : how.room,
        ports: [port],
        connections: anonymous(workload, first),
      };
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

async function createStream(port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port });
  const body = JSON.stringify(STREAM);
  socket.write(
    `CONNECT {"verbose":false}\r\nSUB reply 1\r\nPUB $JS.API.STREAM.CREATE.S reply ${body.length}\r\n${body}\r\n`,
  );
  let answer = '';
  try {
    for await (const chunk of socket) {
      answer += String(chunk);
      if (/^MSG reply [^\r]*\r\n[^\r]*\r\n/m.test(answer)) break;
    }
  } finally {
    socket.destroy();
  }
  if (!answer.includes('"did_create":true')) throw new Error(`NATS made no stream: ${answer.slice(-500)}`);
}
