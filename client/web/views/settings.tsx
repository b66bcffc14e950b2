/** Settings: profile, appearance, privacy, sessions, account. */
import { useEffect, useState } from 'preact/hooks';
import type { LastSeenLevel, LoginSession } from '../../sdk/mod.ts';
import { Sheet } from '../parts/dialog.tsx';
import { Field, valuesOf } from '../parts/field.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { useChat } from '../state/chat.ts';
import { signOut } from '../state/session.ts';
import { chooseTexts, type Language, LANGUAGES, languageOf, t } from '../state/texts.ts';
import { chooseTheme, type Theme, theme } from '../state/theme.ts';
import { momentOf } from '../state/times.ts';
import { useSource } from '../state/use-source.ts';

export function Settings() {
  return (
    <Sheet title={t().settings}>
      <Profile />
      <Appearance />
      <Privacy />
      <Sessions />
      <Account />
    </Sheet>
  );
}

function Profile() {
  const { client, model } = useChat();
  const { self } = useSource(model.status);
  const settings = useSource(model.settings).value;
  const attempt = useAttempt();
  const [isDone, setDone] = useState(false);
  return (
    <form
      class="form"
      onSubmit={(event) => {
        const value = valuesOf(event);
        setDone(false);
        void attempt
          .run(async () => {
            await client.setDisplayName(value('display-name').trim());
            await model.settings.change({ status_text: value('status').trim() });
          })
          .then(setDone);
      }}
    >
      <h3>{t().profile}</h3>
      <Field
        label={t().displayName}
        name="display-name"
        hint={t().displayNameHint}
        value={self?.displayName === self?.name ? '' : (self?.displayName ?? '')}
      />
      <Field label={t().status} name="status" hint={t().statusHint} value={settings?.status_text ?? ''} />
      <Problem text={attempt.error} />
      <div class="answer">
        <span class="hint" role="status">
          {isDone && t().changed}
        </span>
        <button class="btn" type="submit" disabled={attempt.isBusy}>
          {t().save}
        </button>
      </div>
    </form>
  );
}

function Appearance() {
  return (
    <div class="form">
      <h3>{t().appearance}</h3>
      <Choice<Theme>
        label={t().theme}
        name="theme"
        options={t().themes}
        value={theme.value}
        onChoose={chooseTheme}
      />
      <Choice<Language>
        label={t().languageName}
        name="language"
        options={LANGUAGES}
        value={languageOf()}
        onChoose={(language) => void chooseTexts(language)}
      />
    </div>
  );
}

function Privacy() {
  const { model } = useChat();
  const settings = useSource(model.settings).value;
  const attempt = useAttempt();
  if (settings === undefined) return null;
  const check = (name: 'receipts' | 'invisible', label: string) => (
    <label class="check">
      <input
        type="checkbox"
        checked={settings[name]}
        onChange={(event) => {
          const { checked } = event.currentTarget;
          void attempt.run(() => model.settings.change({ [name]: checked }));
        }}
      />
      {label}
    </label>
  );
  return (
    <div class="form">
      <h3>{t().privacy}</h3>
      {check('receipts', t().showReceipts)}
      {check('invisible', t().invisible)}
      <Choice<LastSeenLevel>
        label={t().lastSeenFor}
        name="last-seen"
        options={t().lastSeenLevels}
        value={settings.last_seen}
        onChoose={(level) => void attempt.run(() => model.settings.change({ last_seen: level }))}
      />
      <Problem text={attempt.error} />
    </div>
  );
}

function Sessions() {
  const { client } = useChat();
  const [sessions, set] = useState<readonly LoginSession[]>([]);
  const attempt = useAttempt();
  const load = async () => set(await client.account.sessions());
  useEffect(() => {
    void attempt.run(load);
  }, []);
  return (
    <div class="form">
      <h3>{t().sessions}</h3>
      <ul>
        {sessions.map(({ id, client: name, address, usedAtMs, current }) => (
          <li class="session" key={id}>
            <span class="what">
              <b class="cut">{name}</b>
              <span class="hint">
                {address} · {current ? t().thisOne : t().usedAt(momentOf(usedAtMs))}
              </span>
            </span>
            {!current && (
              <button
                class="btn small"
                type="button"
                aria-label={`${t().end}: ${name}`}
                onClick={() =>
                  void attempt.run(async () => {
                    await client.account.endSession(id);
                    await load();
                  })
                }
              >
                {t().end}
              </button>
            )}
          </li>
        ))}
      </ul>
      <Problem text={attempt.error} />
    </div>
  );
}

function Account() {
  const { client } = useChat();
  const attempt = useAttempt();
  const [isDone, setDone] = useState(false);
  return (
    <form
      class="form"
      onSubmit={(event) => {
        const value = valuesOf(event);
        setDone(false);
        void attempt.run(() => client.account.changePassword(value('old'), value('new'))).then(setDone);
      }}
    >
      <h3>{t().account}</h3>
      <Field label={t().oldPassword} name="old" autocomplete="current-password" isPassword isRequired />
      <Field
        label={t().newPassword}
        name="new"
        autocomplete="new-password"
        hint={t().passwordHint}
        isPassword
        isRequired
      />
      <Problem text={attempt.error} />
      <div class="answer">
        <span class="hint" role="status">
          {isDone && t().changed}
        </span>
        <button class="btn" type="submit" disabled={attempt.isBusy}>
          {t().changePassword}
        </button>
      </div>
      <div class="answer">
        <button class="btn danger" type="button" onClick={() => void signOut(true)}>
          {t().everywhere}
        </button>
        <button class="btn danger" type="button" onClick={() => void signOut()}>
          {t().signOut}
        </button>
      </div>
    </form>
  );
}

interface ChoiceProps<Value extends string> {
  readonly label: string;
  readonly name: string;
  readonly options: Readonly<Record<Value, string>>;
  readonly value: Value;
  readonly onChoose: (value: Value) => void;
}

function Choice<Value extends string>({ label, name, options, value, onChoose }: ChoiceProps<Value>) {
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      {(Object.entries(options) as [Value, string][]).map(([each, text]) => (
        <label class="check">
          <input type="radio" name={name} checked={each === value} onChange={() => onChoose(each)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}
