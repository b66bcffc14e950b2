/** Why something has failed, in a sentence. */
import { Icon } from './icon.tsx';

export function Problem({ text }: { text: string | undefined }) {
  return (
    <p class="problem" role="alert" hidden={text === undefined}>
      <Icon name="info" small />
      <span>{text}</span>
    </p>
  );
}
