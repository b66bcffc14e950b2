import { Buffer } from 'node:buffer';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { type Line, NOT_UTF8, streamLines } from './lines.ts';

async function read(...chunks: Buffer[]): Promise<Line[]> {
  const input = new PassThrough();
  const source = streamLines(input);
  for (const chunk of chunks) input.write(chunk);
  input.end();
  const lines: Line[] = [];
  for (let line = await source.next(); line !== undefined; line = await source.next()) lines.push(line);
  return lines;
}

test('lines: LF and CRLF end one, and the end of input does', async () => {
  expect(await read(Buffer.from('a\nb\r\n\nc'))).toEqual(['a', 'b', '', 'c']);
});

test('byte order mark: is dropped at the start of the input and kept elsewhere', async () => {
  expect(await read(Buffer.from('\ufeff/who\n\ufeffx\n'))).toEqual(['/who', '\ufeffx']);
  expect(await read(Buffer.from('\ufeff'))).toEqual(['']);
});

test('not UTF-8: is reported line by line, and the other lines are read', async () => {
  const latin1 = Buffer.from('gr\u00fc\u00dfe\n', 'latin1');
  expect(await read(Buffer.from('ok\n'), latin1, Buffer.from('ß\n'))).toEqual(['ok', NOT_UTF8, 'ß']);
  expect(await read(Buffer.from('\ufeffhi\n', 'utf16le'))).toEqual([NOT_UTF8, '\0']);
});

test('characters: one that is split between two reads stays whole', async () => {
  const bytes = Buffer.from('a€𝄞\nb\n');
  for (let at = 0; at <= bytes.length; at++)
    expect(await read(bytes.subarray(0, at), bytes.subarray(at))).toEqual(['a€𝄞', 'b']);
});

test('a line beyond all limits: is cut between two characters', async () => {
  const [line, next] = await read(Buffer.from(`${'x'.repeat(4_194_303)}€\nb\n`));
  expect(line).toBe('x'.repeat(4_194_303));
  expect(next).toBe('b');
});
