import { Metadata } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { agree, announce, announced, type BatchProtocol, UNANNOUNCED } from './batch-protocol.ts';

function speaks(oldest: number, newest: number, ...capabilities: string[]): BatchProtocol {
  return { oldest, newest, capabilities };
}

function metadataOf(text: string): Metadata {
  const metadata = new Metadata();
  metadata.set('crpc-protocol', text);
  return metadata;
}

describe('agree', () => {
  test.each([
    ['the same', speaks(1, 2), speaks(1, 2), 2],
    ['a newer peer that still speaks ours', speaks(1, 2), speaks(2, 3), 2],
    ['an older peer that we still speak', speaks(3, 4), speaks(2, 3), 3],
    ['a peer that speaks less', speaks(1, 9), speaks(4, 5), 5],
    ['a newer peer that has given ours up', speaks(1, 2), speaks(3, 4), undefined],
    ['an older peer that we have given up', speaks(3, 4), speaks(1, 2), undefined],
    ['a peer that announces nothing, while we speak version 1', speaks(1, 2), UNANNOUNCED, 1],
    ['a peer that announces nothing, when we have given it up', speaks(2, 3), UNANNOUNCED, undefined],
  ])('%s: the newest version in common, or none', (_, ours, theirs, version) => {
    expect(agree(ours, theirs)?.version).toBe(version);
    expect(agree(theirs, ours)?.version).toBe(version);
  });

  test('capabilities: those that both sides have, in any order', () => {
    const [a, b] = [speaks(1, 1, 'x', 'y', 'z'), speaks(1, 1, 'z', 'w', 'x')];
    for (const agreed of [agree(a, b), agree(b, a)])
      expect([...(agreed?.capabilities ?? [])].toSorted()).toEqual(['x', 'z']);
    expect(agree(a, UNANNOUNCED)?.capabilities.size).toBe(0);
  });
});

describe('announcements', () => {
  test.each([speaks(1, 2), speaks(7, 123_456), speaks(1, 1, 'topics'), speaks(2, 2, 'a-b', 'c_9')])(
    'what is announced is read: %j',
    (protocol) => {
      const metadata = new Metadata();
      announce(metadata, protocol);
      expect(announced(metadata)).toEqual(protocol);
    },
  );

  test('no announcement: version 1, no capability', () => {
    expect(announced(new Metadata())).toEqual(speaks(1, 1));
  });

  test.each(['', 'x', '1', '1-', '-2', '1-2,3', '1-2  x', '1-2 X', '1.0-2.0'])(
    'an unreadable announcement, "%s": a version that nobody speaks',
    (text) => {
      const theirs = announced(metadataOf(text));
      expect(agree(speaks(1, 1_000), theirs)).toBeUndefined();
    },
  );
});
