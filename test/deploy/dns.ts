/** Docker's DNS for a container: answers at 127.0.0.11 with the addresses that a hosts file has. `node dns.ts FILE` */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';

const [file = ''] = process.argv.slice(2);
const socket = createSocket('udp4');
socket.on('message', (query, { port, address }) => {
  const labels: string[] = [];
  let at = 12;
  while (query[at] !== 0) {
    const length = query[at] as number;
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const question = query.subarray(12, at + 5);
  const isAddress = query.readUInt16BE(at + 1) === 1;
  const addresses = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, name]) => isAddress && name === labels.join('.'))
    .map(([each = '']) => each);
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  // An answer; no such name where there is no address.
  header.writeUInt16BE(addresses.length === 0 && isAddress ? 0x8583 : 0x8580, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  // The name of the question, type A, class IN, 1 s, 4 bytes.
  const answers = addresses.map((each) =>
    Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...each.split('.').map(Number)]),
  );
  socket.send(Buffer.concat([header, question, ...answers]), port, address);
});
socket.bind(53, '127.0.0.11');
