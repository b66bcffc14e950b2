/** A batch stream: `node crpc/example/batch.ts`. What one side sends in one tick of the event loop travels as one message. */
import { BatchLink, CrpcServer, SendResult, openRegistry } from '../mod.ts';
import { EchoService } from '../testing/gen/echo.ts'; // Made by ts-proto from echo.proto.

const service = { bidi: EchoService.bidi }; // A batch service has one method, streaming both ways.
const registry = openRegistry('memory://', { logger: console });
const server = new CrpcServer({ logger: console, announce: { registry, service: 'echo' } });
server.addBatchService(service, (stream) => ({
  onRecords: (records) => {
    for (const record of records) if (stream.send(record) === SendResult.BACKPRESSURE) stream.pause();
  },
  onDrain: () => stream.resume(),
  onEnd: () => {},
}));
await server.start();

// The sender chooses the server: a batch stream goes to one address.
const found = Promise.withResolvers<string>();
const unwatch = registry.watch('echo', ({ endpoints: [first] }) => first && found.resolve(first.address));
const over = Promise.withResolvers<void>();
const link = new BatchLink({
  address: await found.promise,
  service,
  logger: console,
  handler: {
    onOpen: (stream) => {
      for (const text of ['one', 'two', 'three']) stream.send(Buffer.from(text));
    },
    onRecords: (records) => {
      console.log(records.map((record) => Buffer.from(record).toString()).join(', '));
      over.resolve();
    },
    onEnd: () => {},
  },
});
await over.promise;
unwatch();
link.close();
await server.drain(5000);
await registry.close();
