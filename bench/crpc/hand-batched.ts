/** The hand-written alternative to a batch stream: length-prefixed messages joined into one gRPC message. */
export const handBatched = {
  batch: {
    path: '/bench.Hand/Batch',
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
} as const;

export function identity(bytes: Buffer): Buffer {
  return bytes;
}

export function splitByHand(batch: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let at = 0;
  while (at < batch.length) {
    const end = at + 4 + batch.readUInt32BE(at);
    messages.push(batch.subarray(at + 4, end));
    at = end;
  }
  return messages;
}

export function joinByHand(messages: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const message of messages) length += 4 + message.length;
  const batch = Buffer.allocUnsafe(length);
  let at = 0;
  for (const message of messages) {
    at = batch.writeUInt32BE(message.length, at);
    batch.set(message, at);
    at += message.length;
  }
  return batch;
}
