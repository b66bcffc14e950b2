/** The whole page: who is not signed in signs in; who is chats. */
import { session } from '../state/session.ts';
import { Chat } from './chat.tsx';
import { SignIn } from './sign-in.tsx';

export function Page() {
  const { value } = session;
  if (value.stage === 'in') return <Chat key={value.client} client={value.client} model={value.model} />;
  return value.stage === 'out' ? <SignIn notice={value.notice} /> : null;
}
