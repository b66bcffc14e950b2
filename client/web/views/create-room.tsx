/** Making a room. */
import { closeDialog, Sheet } from '../parts/dialog.tsx';
import { Field, valuesOf } from '../parts/field.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { useChat } from '../state/chat.ts';
import { go } from '../state/route.ts';
import { t } from '../state/texts.ts';

export function CreateRoom() {
  const { client, model } = useChat();
  const attempt = useAttempt();
  return (
    <Sheet title={t().createRoom}>
      <form
        class="form"
        onSubmit={(event) => {
          const value = valuesOf(event);
          void attempt.run(async () => {
            const room = await client.createRoom(value('room').trim(), {
              hideHistory: value('hide') === 'on',
            });
            model.conversations.put(room);
            closeDialog();
            go(room.id);
          });
        }}
      >
        <Field label={t().roomName} name="room" hint={t().roomNameHint} prefix="#" isRequired hasFocus />
        <label class="check">
          <input type="checkbox" name="hide" />
          {t().hideHistory}
        </label>
        <Problem text={attempt.error} />
        <div class="answer">
          <button class="btn" type="button" onClick={closeDialog}>
            {t().cancel}
          </button>
          <button class="btn primary" type="submit" disabled={attempt.isBusy}>
            {t().create}
          </button>
        </div>
      </form>
    </Sheet>
  );
}
