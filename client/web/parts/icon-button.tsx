/** A button that is an icon, with its name for who hears it and who points at it. */
import { Icon, type IconName } from './icon.tsx';

export interface IconButtonProps {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: (event: MouseEvent) => void;
  readonly class?: string;
  readonly isPressed?: boolean;
  readonly isSmall?: boolean;
  readonly isFlipped?: boolean;
  readonly hasMenu?: boolean;
}

export function IconButton(props: IconButtonProps) {
  const { icon, label, onClick, isPressed, isSmall = false, isFlipped = false, hasMenu } = props;
  return (
    <button
      class={`ib ${props.class ?? ''}`}
      type="button"
      aria-label={label}
      title={label}
      aria-pressed={isPressed}
      aria-haspopup={hasMenu ? 'menu' : undefined}
      onClick={onClick}
    >
      <Icon name={icon} small={isSmall} flip={isFlipped} />
    </button>
  );
}
