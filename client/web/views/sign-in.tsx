/** Signing in, making an account, and the demo accounts. */
import { useEffect, useState } from 'preact/hooks';
import { Avatar } from '../parts/avatar.tsx';
import { Field, valuesOf } from '../parts/field.tsx';
import { IconButton } from '../parts/icon-button.tsx';
import { Icon, Logo } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { type PageFacts, pageFacts } from '../state/page-facts.ts';
import { createAccount, expectReturn, signIn } from '../state/session.ts';
import { t } from '../state/texts.ts';
import { toggleTheme } from '../state/theme.ts';
import { Peek } from './peek.tsx';

export function SignIn({ notice }: { notice: string | undefined }) {
  const [isNew, setNew] = useState(false);
  const [facts, setFacts] = useState<PageFacts>();
  const attempt = useAttempt();
  useEffect(() => {
    void pageFacts().then(setFacts);
  }, []);
  const submit = (event: SubmitEvent) => {
    const value = valuesOf(event);
    const handle = value('handle').trim();
    const action = isNew
      ? () => createAccount(handle, value('password'), value('name').trim())
      : () => signIn(handle, value('password'));
    void attempt.run(action);
  };
  const demo = facts?.demo ?? null;
  const error = attempt.error ?? (attempt.isBusy ? undefined : notice);
  return (
    <div class="door">
      <main>
        <h1 class="brand">
          <Logo />
          {t().appName}
        </h1>
        <div class="tabs" role="group" aria-label={`${t().signIn}, ${t().createAccount}`}>
          {[false, true].map((way) => (
            <button type="button" aria-pressed={isNew === way} onClick={() => setNew(way)}>
              {way ? t().createAccount : t().signIn}
            </button>
          ))}
        </div>
        <form
          class="in"
          aria-label={isNew ? t().createAccount : t().signIn}
          onSubmit={submit}
          key={String(isNew)}
        >
          {isNew && <Field label={t().yourName} name="name" autocomplete="name" />}
          <Field
            label={t().handle}
            name="handle"
            autocomplete="username"
            isRequired
            hasFocus
            {...(isNew && { prefix: '@' })}
          />
          <Field
            label={t().password}
            name="password"
            autocomplete={isNew ? 'new-password' : 'current-password'}
            isPassword
            isRequired
            {...(isNew && { hint: t().passwordHint })}
          />
          <Problem text={error} />
          <button class="btn primary wide" type="submit" disabled={attempt.isBusy}>
            {attempt.isBusy ? t().signingIn : isNew ? t().createAccount : t().signIn}
          </button>
        </form>
        {facts?.openId === true && (
          <a class="btn wide" href="/auth/openid/login" onClick={expectReturn}>
            {t().signInElsewhere}
          </a>
        )}
        {demo !== null && (
          <>
            <div class="or">{t().orDemo}</div>
            <div class="demo" role="group" aria-label={t().demoAccounts}>
              {demo.users.map((name, i) => (
                <button
                  type="button"
                  disabled={attempt.isBusy}
                  onClick={() => void attempt.run(() => signIn(name, demo.password))}
                >
                  <Avatar user={String(i + 1)} name={name} size={32} />
                  <span class="what">
                    <b>{name}</b>
                    <span class="hint">{t().demoHint}</span>
                  </span>
                  <Icon name="chev" small flip />
                </button>
              ))}
            </div>
          </>
        )}
      </main>
      <Peek />
      <IconButton class="corner" icon="moon" label={t().lightOrDark} onClick={toggleTheme} />
    </div>
  );
}
