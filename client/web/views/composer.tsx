/** Where one writes: a message, an answer, or the new text of a message. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ConversationRow, Timeline } from '../../model/mod.ts';
import { plainText } from '../../markdown/mod.ts';
import { IconButton } from '../parts/icon-button.tsx';
import { Icon } from '../parts/icon.tsx';
import { Markdown } from '../parts/markdown.tsx';
import { nameOf, titleOf, useChat } from '../state/chat.ts';
import { route } from '../state/route.ts';
import { intend, type Intent, intents } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { SELDOM_MS, useSource } from '../state/use-source.ts';

const encoder = new TextEncoder();

export function Composer({ row, timeline }: { row: ConversationRow; timeline: Timeline }) {
  const chat = useChat();
  const { client, model } = chat;
  const { id } = row;
  const drafts = useSource(model.drafts);
  const intent = intents.value.get(id);
  const field = useRef<HTMLTextAreaElement>(null);
  /** What an edit has become; of another one it says nothing. */
  const [edited, setEdited] = useState<{ readonly intent: Intent; readonly text: string }>();
  const [isPreview, setPreview] = useState(false);
  const isEdit = intent?.kind === 'edit';
  const text = !isEdit ? drafts.get(id) : edited?.intent === intent ? edited.text : intent.text;
  const write = (next: string) => (isEdit ? setEdited({ intent, text: next }) : drafts.set(id, next));
  const over = encoder.encode(text).length - client.maxTextBytes;
  const isReady = text.trim() !== '' && over <= 0;
  // A key may come before what the one before it has changed is drawn.
  const written = () => (isPreview ? text : (field.current?.value ?? text));

  // At once: the next key is meant for the field.
  useLayoutEffect(() => {
    const { current } = field;
    if (intent === undefined || current === null) return;
    current.focus();
    current.setSelectionRange(current.value.length, current.value.length);
  }, [intent]);
  useEffect(() => {
    // On a phone the keyboard would cover what one came to read.
    if (route.value.seq === undefined && matchMedia('(hover: hover)').matches) field.current?.focus();
  }, [id]);
  useLayoutEffect(() => grow(field.current), [text, isPreview]);

  const submit = () => {
    const whole = written();
    if (whole.trim() === '' || encoder.encode(whole).length > client.maxTextBytes) return;
    setPreview(false);
    if (intent?.kind === 'edit') timeline.edit(intent.target, whole);
    else {
      timeline.send(whole, intent?.seq);
      drafts.set(id, '');
    }
    intend(id, undefined);
    field.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      submit();
    } else if (event.key === 'Escape' && intent !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      intend(id, undefined);
    } else if (event.key === 'ArrowUp' && written() === '') {
      const last = timeline.lastOwn();
      if (last === undefined) return;
      event.preventDefault();
      const { seq, clientMsgId, text: old } = last.message;
      intend(id, { kind: 'edit', target: seq || clientMsgId, text: old });
    } else if (event.key.toLowerCase() === 'b' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      wrap();
    }
  };
  const wrap = () => {
    const { current } = field;
    if (current === null) return;
    const { selectionStart: from, selectionEnd: to, value } = current;
    write(`${value.slice(0, from)}**${value.slice(from, to)}**${value.slice(to)}`);
    current.focus();
    requestAnimationFrame(() => current.setSelectionRange(from + 2, to + 2));
  };
  const label = t().messageTo(titleOf(row));
  return (
    <form
      class="compose"
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div class="box">
        {intent !== undefined && <IntentLine intent={intent} conversation={id} timeline={timeline} />}
        {isPreview && (
          <div class="body preview" dir="auto" aria-label={t().preview}>
            <Markdown text={text} nameOf={(user) => nameOf(chat, user)} me={model.me} />
          </div>
        )}
        <textarea
          rows={1}
          dir="auto"
          hidden={isPreview}
          ref={field}
          value={text}
          aria-label={isEdit ? t().editing : label}
          placeholder={label}
          aria-invalid={over > 0}
          onInput={(event) => {
            write(event.currentTarget.value);
            if (!isEdit) client.typing(id, event.currentTarget.value === '');
          }}
          onKeyDown={onKey}
        />
        <div class="row">
          <IconButton icon="bold" class="not-phone" label={t().bold} onClick={wrap} />
          <IconButton
            icon="eye"
            label={t().preview}
            isPressed={isPreview}
            onClick={() => setPreview(!isPreview && text.trim() !== '')}
          />
          <span class="gap" />
          {over > 0 && <span class="problem">{t().tooLong(over)}</span>}
          <button
            class="ib send"
            type="submit"
            aria-label={t().sendMessage}
            title={t().sendMessage}
            disabled={!isReady}
          >
            <Icon name="send" flip />
          </button>
        </div>
      </div>
      <TypingLine id={id} timeline={timeline} />
    </form>
  );
}

function IntentLine({
  intent,
  conversation,
  timeline,
}: {
  intent: Intent;
  conversation: string;
  timeline: Timeline;
}) {
  const chat = useChat();
  const message = intent.kind === 'reply' ? timeline.message(intent.seq) : undefined;
  return (
    <div class="replying">
      <Icon name={intent.kind === 'reply' ? 'reply' : 'pen'} small />
      <span class="cut" dir="auto">
        {message === undefined ? t().editing : <b>{t().replyingTo(nameOf(chat, message.sender))}</b>}{' '}
        {message !== undefined && plainText(message.text, (user) => nameOf(chat, user))}
      </span>
      <IconButton icon="x" isSmall label={t().cancel} onClick={() => intend(conversation, undefined)} />
    </div>
  );
}

/** Who types; else what waits to be sent. It always has its place. */
function TypingLine({ id, timeline }: { id: string; timeline: Timeline }) {
  const { model } = useChat();
  const names = useSource(model.typing).names(id);
  const { link } = useSource(model.status);
  useSource(timeline, SELDOM_MS);
  const [one = '', two = ''] = names;
  const [enter, sends, shiftEnter, breaks] = t().keys;
  const waiting = link === 'online' ? 0 : timeline.waiting;
  return (
    <div class="typing">
      {names.length > 0 && (
        <span class="dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
      )}
      <span role="status" class="cut">
        {names.length === 1
          ? t().typingOne(one)
          : names.length === 2
            ? t().typingTwo(one, two)
            : names.length > 2 && t().typingMany}
      </span>
      {waiting > 0 && (
        <span class="outbox">
          <Icon name="clock" small />
          {t().waiting(waiting)}
        </span>
      )}
      <span class="end not-phone">
        <kbd>{enter}</kbd> {sends} · <kbd>{shiftEnter}</kbd> {breaks}
      </span>
    </div>
  );
}

/** Makes the field as high as its text, where the browser does not (field-sizing). */
function grow(field: HTMLTextAreaElement | null): void {
  if (field === null || CSS.supports('field-sizing', 'content')) return;
  field.style.blockSize = 'auto';
  field.style.blockSize = `${field.scrollHeight}px`;
}
