/** The dialog that is open. */
import { lazy } from '../parts/lazy.tsx';
import type { DialogName } from '../state/screen.ts';
import { ConfirmLeave, ConfirmRemove } from './confirm.tsx';
import { CreateRoom } from './create-room.tsx';
import { Switcher } from './switcher.tsx';

const Settings = lazy(() => import('./settings.tsx').then((module) => module.Settings));

export function Dialogs({ open }: { open: DialogName }) {
  switch (open.name) {
    case 'switcher':
      return <Switcher />;
    case 'settings':
      return <Settings />;
    case 'create-room':
      return <CreateRoom />;
    case 'remove':
      return <ConfirmRemove {...open} />;
    default:
      return <ConfirmLeave {...open} />;
  }
}
