/** The Markdown of messages, for all clients. Imports nothing. */
export { type Block, type Inline, parseMarkdown, safeUrl } from './markdown.ts';
export { plainText } from './plain-text.ts';
