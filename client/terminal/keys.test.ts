import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Input, Keys } from './keys.ts';

function open(): { keys: Keys; inputs: Input[] } {
  const inputs: Input[] = [];
  const keys = new Keys((input) => inputs.push(input));
  onTestFinished(() => keys.close());
  return { keys, inputs };
}

function inputsOf(...parts: (string | Buffer)[]): Input[] {
  const { keys, inputs } = open();
  for (const part of parts) keys.write(typeof part === 'string' ? Buffer.from(part) : part);
  return inputs;
}

const key = (name: string): Input => ({ type: 'key', name });

describe('keys', () => {
  test.each([
    ['\r', 'enter'],
    ['\n', 'ctrl-j'],
    ['\x7f', 'backspace'],
    ['\t', 'tab'],
    ['\x0b', 'ctrl-k'],
    ['\x1f', 'ctrl-_'],
    ['\x1ba', 'alt-a'],
    ['\x1b1', 'alt-1'],
    ['\x1b/', 'alt-/'],
    ['\x1b\r', 'alt-enter'],
    ['\x1b\x7f', 'alt-backspace'],
    ['\x1b[A', 'up'],
    ['\x1bOA', 'up'],
    ['\x1b[Z', 'shift-tab'],
    ['\x1b[1;3A', 'alt-up'],
    ['\x1b[1;5H', 'ctrl-home'],
    ['\x1b[5~', 'pageup'],
    ['\x1b[18~', 'f7'],
    ['\x1bOP', 'f1'],
  ])('%j is %s', (bytes, name) => {
    expect(inputsOf(bytes)).toEqual([key(name)]);
  });

  test('a sequence may come in parts, at every byte', () => {
    const sequence = Buffer.from('\x1b[1;3A写\x1b[200~a\r\nb\x1b[201~\x1b[I');
    for (let at = 1; at < sequence.length; at++)
      expect(inputsOf(sequence.subarray(0, at), sequence.subarray(at))).toEqual([
        key('alt-up'),
        { type: 'text', text: '写' },
        { type: 'paste', text: 'a\nb' },
        { type: 'focus', isFocused: true },
      ]);
  });

  test('a lone ESC is Escape once nothing has followed', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { keys, inputs } = open();
    keys.write(Buffer.from('\x1b'));
    expect(inputs).toEqual([]);
    vi.advanceTimersByTime(50);
    expect(inputs).toEqual([key('escape')]);
  });

  test('two ESC are Escape and what follows', () => {
    expect(inputsOf('\x1b\x1b[A')).toEqual([key('escape'), key('up')]);
  });

  test('unknown sequences do nothing, and nothing of them is typed', () => {
    expect(inputsOf('\x1b[?62;c\x1b[12;34R\x1b[99~x')).toEqual([{ type: 'text', text: 'x' }]);
  });
});

describe('paste', () => {
  test('is one input, its line ends are lines, and trailing ones are dropped', () => {
    expect(inputsOf('\x1b[200~one\r\ntwo\rthree\n\n\x1b[201~')).toEqual([
      { type: 'paste', text: 'one\ntwo\nthree' },
    ]);
  });

  test('escape sequences in it press no keys', () => {
    expect(inputsOf('\x1b[200~\x1b[A\x03/quit\r\x1b[201~')).toEqual([
      { type: 'paste', text: '\x1b[A\x03/quit' },
    ]);
  });

  test('several lines in one read are one where the terminal does not mark them', () => {
    expect(inputsOf('one\rtwo\r')).toEqual([{ type: 'paste', text: 'one\ntwo' }]);
    expect(inputsOf('one\r')).toEqual([{ type: 'text', text: 'one' }, key('enter')]);
  });

  test('10,000 lines in parts of 1,000 bytes are one', () => {
    const text = Array.from({ length: 10_000 }, (_, line) => `line ${line}`).join('\r');
    const bytes = Buffer.from(`\x1b[200~${text}\x1b[201~`);
    const parts = Array.from({ length: Math.ceil(bytes.length / 1000) }, (_, at) =>
      bytes.subarray(at * 1000, (at + 1) * 1000),
    );
    expect(inputsOf(...parts)).toEqual([{ type: 'paste', text: text.replaceAll('\r', '\n') }]);
  });
});
