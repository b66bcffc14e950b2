/** The rules of the checker; docs/guarantees.md says what violates each. */
export const RULES = [
  'durable',
  'no loss',
  'once, in order',
  'contiguous',
  'one order',
  'one text',
  'erased',
  'exactly once',
  "sender's order",
  'no phantom',
  'members only',
  'no leak',
  'one answer',
  'justified refusals',
  'expected codes',
  'told',
  'resume anywhere',
  'cursors',
  'badges',
  'watches',
  'evicted',
  'no false eviction',
  'convergence',
  'one view',
  'in time',
  'no crash',
  'history',
] as const;
export type Rule = (typeof RULES)[number];

export type Accuse = (rule: Rule, what: string) => void;
