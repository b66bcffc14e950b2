/** A message's text, drawn from its tree: no text ever becomes HTML. */
import type { ComponentChildren } from 'preact';
import { type Block, type Inline, parseMarkdown } from '../../markdown/mod.ts';

export interface MarkdownProps {
  readonly text: string;
  /** Display name of a user. */
  readonly nameOf: (user: string) => string;
  readonly me: string;
  /** What stands after the last word. */
  readonly end?: ComponentChildren;
}

export function Markdown({ text, nameOf, me, end }: MarkdownProps) {
  const inline = (each: Inline): ComponentChildren => {
    switch (each.kind) {
      case 'text':
        return each.text;
      case 'break':
        return <br />;
      case 'code':
        return <code dir="ltr">{each.text}</code>;
      case 'strong':
        return <strong>{each.children.map(inline)}</strong>;
      case 'emphasis':
        return <em>{each.children.map(inline)}</em>;
      case 'strike':
        return <s>{each.children.map(inline)}</s>;
      case 'mention':
        return <span class={each.user === me ? 'at-name me' : 'at-name'}>@{nameOf(each.user)}</span>;
      default:
        return (
          <a href={each.url} target="_blank" rel="noopener noreferrer nofollow">
            {each.children.map(inline)}
          </a>
        );
    }
  };
  const block = (each: Block, isLast: boolean): ComponentChildren => {
    const rest = isLast ? end : undefined;
    switch (each.kind) {
      case 'paragraph':
        return (
          <p>
            {each.children.map(inline)}
            {rest}
          </p>
        );
      case 'code':
        return [
          <pre dir="ltr" tabIndex={0}>
            {each.text}
          </pre>,
          rest && <p>{rest}</p>,
        ];
      case 'quote':
        return [
          <blockquote>{each.children.map((child) => block(child, false))}</blockquote>,
          rest && <p>{rest}</p>,
        ];
      default: {
        const List = each.isOrdered ? 'ol' : 'ul';
        return (
          <List start={each.isOrdered && each.start !== 1 ? each.start : undefined}>
            {each.items.map((item, i) => (
              <li>
                {item.map(inline)}
                {i === each.items.length - 1 ? rest : undefined}
              </li>
            ))}
          </List>
        );
      }
    }
  };
  const blocks = parseMarkdown(text);
  return <>{blocks.map((each, i) => block(each, i === blocks.length - 1))}</>;
}
