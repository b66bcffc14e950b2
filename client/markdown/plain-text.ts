/** Markdown on one line: for quotes, and what is read aloud. */
import { type Block, type Inline, parseMarkdown } from './markdown.ts';

/** Returns the text without its marks. @param nameOf display name of a user */
export function plainText(markdown: string, nameOf: (user: string) => string): string {
  const inline = (each: Inline): string => {
    switch (each.kind) {
      case 'break':
        return ' ';
      case 'mention':
        return `@${nameOf(each.user)}`;
      case 'text':
      case 'code':
        return each.text;
      default:
        return each.children.map(inline).join('');
    }
  };
  const block = (each: Block): string => {
    switch (each.kind) {
      case 'code':
        return each.text;
      case 'quote':
        return each.children.map(block).join(' ');
      case 'list':
        return each.items.map((item) => item.map(inline).join('')).join(', ');
      default:
        return each.children.map(inline).join('');
    }
  };
  return parseMarkdown(markdown).map(block).join(' ').replaceAll(/\s+/g, ' ').trim();
}
