import { describe, expect, test } from 'vitest';
import { encodePublishHead, MAX_TOPIC_CONNS, MAX_TOPICS, NO_CONNECTION } from '../../proto/mod.ts';
import { topicRecord } from '../testing/test-link.ts';
import { Topics } from './topics.ts';

const publish = (topic: number) => encodePublishHead(topic, NO_CONNECTION);

describe('Topics', () => {
  test('a topic: is as last defined, and other topics are unchanged', () => {
    const topics = new Topics();
    expect(topics.of(publish(1))).toBeUndefined();
    for (const record of [topicRecord(1, [5, 6]), topicRecord(MAX_TOPICS - 1, [7]), topicRecord(1, [8])])
      expect(topics.define(record)).toBe(true);
    expect(topics.of(publish(1))).toEqual(new Uint8Array(topicRecord(1, [8])));
    expect(topics.of(publish(MAX_TOPICS - 1))).toEqual(new Uint8Array(topicRecord(MAX_TOPICS - 1, [7])));
  });

  test('its list: is a copy, not a view of the batch that it came with', () => {
    const topics = new Topics();
    const batch = new Uint8Array(1000);
    batch.set(topicRecord(1, [5]));
    topics.define(batch.subarray(0, 8));
    expect(topics.of(publish(1))?.buffer.byteLength).toBe(8);
  });

  test('an empty list, or the end of the stream: the topic is no longer defined', () => {
    const topics = new Topics();
    topics.define(topicRecord(1, [5]));
    expect(topics.define(topicRecord(1, []))).toBe(true);
    expect(topics.of(publish(1))).toBeUndefined();
    topics.define(topicRecord(1, [5]));
    topics.clear();
    expect(topics.of(publish(1))).toBeUndefined();
  });

  test.each([
    ['a number beyond the last', topicRecord(MAX_TOPICS, [5])],
    ['half a connection', topicRecord(1, [5]).subarray(0, 6)],
    ['no number', topicRecord(1, []).subarray(0, 3)],
  ])('%s: is refused', (_, record) => {
    const topics = new Topics();
    expect(topics.define(record)).toBe(false);
    expect(topics.of(publish(1))).toBeUndefined();
  });

  test('connections of all topics: are bounded, and replaced lists no longer count', () => {
    const topics = new Topics();
    const most = new Uint8Array(4 + 4 * MAX_TOPIC_CONNS);
    most.set(topicRecord(1, []));
    expect(topics.define(most)).toBe(true);
    expect(topics.define(topicRecord(2, [5]))).toBe(false);
    expect(topics.define(most)).toBe(true);
    expect(topics.define(topicRecord(1, [5]))).toBe(true);
    expect(topics.define(topicRecord(2, [5]))).toBe(true);
    topics.clear();
    expect(topics.define(most)).toBe(true);
  });
});
