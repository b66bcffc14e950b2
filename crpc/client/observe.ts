/** Observation of a response stream from outside, at the cost of one function call per response. */

/** Called at the end of a stream; without a failure if it ended or was left early. */
export type StreamObserver = (failure?: { readonly error: unknown }) => void;

/**
 * Returns the stream made by `run`.
 *
 * @param begin called before it starts; its result is called once when the stream has ended, failed or been left
 */
export function observe(
  run: () => AsyncIterable<unknown>,
  begin: () => StreamObserver,
): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]: () => {
      let end: StreamObserver | undefined = begin();
      const over: StreamObserver = (failure) => {
        end?.(failure);
        end = undefined;
      };
      let iterator: AsyncIterator<unknown>;
      try {
        iterator = run()[Symbol.asyncIterator]();
      } catch (error) {
        over({ error });
        throw error;
      }
      return {
        next: async () => {
          try {
            const step = await iterator.next();
            if (step.done) over();
            return step;
          } catch (error) {
            over({ error });
            throw error;
          }
        },
        return: async (value?: unknown) => {
          try {
            return (await iterator.return?.(value)) ?? { done: true, value };
          } finally {
            over();
          }
        },
      };
    },
  };
}
