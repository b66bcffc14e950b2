/** Questions before what cannot be taken back. */
import { closeDialog, Sheet } from '../parts/dialog.tsx';
import { Field, valuesOf } from '../parts/field.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { titleOf, useChat } from '../state/chat.ts';
import { go } from '../state/route.ts';
import { t } from '../state/texts.ts';

export function ConfirmRemove({ conversation, target }: { conversation: string; target: number | string }) {
  const { model } = useChat();
  return (
    <Sheet title={t().removeQuestion}>
      <form
        class="form"
        onSubmit={(event) => {
          model.timeline(conversation).retract(target, valuesOf(event)('reason').trim());
          closeDialog();
        }}
      >
        <Field label={t().reason} name="reason" hasFocus />
        <Answer label={t().removeAnswer} isBusy={false} />
      </form>
    </Sheet>
  );
}

export function ConfirmLeave({ conversation }: { conversation: string }) {
  const { client, model } = useChat();
  const attempt = useAttempt();
  const row = model.conversations.get(conversation);
  return (
    <Sheet title={t().leaveQuestion(row === undefined ? '' : titleOf(row))}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void attempt
            .run(() => client.leaveRoom(conversation))
            .then((isDone) => {
              if (!isDone) return;
              closeDialog();
              go();
            });
        }}
      >
        <p class="muted">{t().leaveHint}</p>
        <Problem text={attempt.error} />
        <Answer label={t().leave} isBusy={attempt.isBusy} />
      </form>
    </Sheet>
  );
}

function Answer({ label, isBusy }: { label: string; isBusy: boolean }) {
  return (
    <div class="answer">
      <button class="btn" type="button" onClick={closeDialog}>
        {t().cancel}
      </button>
      <button class="btn danger" type="submit" disabled={isBusy}>
        {label}
      </button>
    </div>
  );
}
