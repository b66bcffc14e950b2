import { expect, test } from 'vitest';
import { Editor } from './editor.ts';

/** Types a text with the cursor at `|`, presses keys, and returns the text with the cursor. */
function edit(text: string, ...keys: string[]): string {
  const editor = new Editor();
  const at = text.indexOf('|');
  editor.set(text.replace('|', ''), at);
  for (const key of keys) editor.key(key);
  const { before } = editor;
  return `${before}|${editor.text.slice(before.length)}`;
}

test.each([
  ['one two|', ['ctrl-w'], 'one |'],
  ['one two|', ['ctrl-u'], '|'],
  ['one| two', ['alt-k'], 'one|'],
  ['|one two', ['alt-d'], '| two'],
  ['one two|', ['ctrl-w', 'ctrl-a', 'ctrl-y'], 'two|one '],
  ['ab|', ['ctrl-t'], 'ba|'],
  ['one two|', ['alt-b', 'alt-b'], '|one two'],
  ['|one two', ['alt-f'], 'one| two'],
  ['one two|', ['ctrl-w', 'ctrl-_'], 'one two|'],
  ['a👨‍👩‍👧|', ['backspace'], 'a|'],
  ['👨‍👩‍👧|', ['left'], '|👨‍👩‍👧'],
  ['one\ntw|o', ['up'], 'on|e\ntwo'],
  ['on|e\ntwo', ['down'], 'one\ntw|o'],
  ['one\ntwo|', ['ctrl-a'], 'one\n|two'],
])('%s, %j: %s', (text, keys, result) => {
  expect(edit(text, ...keys)).toBe(result);
});

test('history: the arrows of the first and the last line go through it, and what was begun is kept', () => {
  const editor = new Editor();
  for (const text of ['first', 'second']) {
    editor.insert(text);
    editor.take();
  }
  editor.insert('begun');
  editor.key('up');
  editor.key('up');
  expect(editor.text).toBe('first');
  editor.key('down');
  editor.key('down');
  expect(editor.text).toBe('begun');
});
