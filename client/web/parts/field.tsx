/** A field of a form with its label. */
import { useState } from 'preact/hooks';
import { t } from '../state/texts.ts';
import { IconButton } from './icon-button.tsx';

export interface FieldProps {
  readonly label: string;
  readonly name: string;
  readonly value?: string;
  readonly autocomplete?: string;
  readonly hint?: string;
  readonly isPassword?: boolean;
  readonly isRequired?: boolean;
  readonly hasFocus?: boolean;
  readonly prefix?: string;
}

export function Field(props: FieldProps) {
  const { label, name, value = '', autocomplete = 'off', hint, isPassword = false, prefix } = props;
  const [isShown, show] = useState(false);
  const hintId = `${name}-hint`;
  const common = {
    id: name,
    name,
    defaultValue: value,
    autocomplete: autocomplete as 'off',
    autocapitalize: 'none',
    spellcheck: false,
    required: props.isRequired ?? false,
    autofocus: props.hasFocus ?? false,
    'aria-describedby': hint === undefined ? undefined : hintId,
  } as const;
  return (
    <div class="field">
      <label for={name}>{label}</label>
      <span class="input">
        {prefix !== undefined && <span class="muted">{prefix}</span>}
        {isPassword && !isShown ? <input type="password" {...common} /> : <input type="text" {...common} />}
        {isPassword && (
          <IconButton
            icon="eye"
            label={t().showPassword}
            isPressed={isShown}
            onClick={() => show(!isShown)}
          />
        )}
      </span>
      {hint !== undefined && (
        <p class="hint" id={hintId}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** Returns what stands in the fields of a form. */
export function valuesOf(event: SubmitEvent): (name: string) => string {
  event.preventDefault();
  const data = new FormData(event.currentTarget as HTMLFormElement);
  return (name) => {
    const value = data.get(name);
    return typeof value === 'string' ? value : '';
  };
}
