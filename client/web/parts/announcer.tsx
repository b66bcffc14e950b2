/** Says what has changed to who cannot see it. */
import { announcement } from '../state/screen.ts';

export function Announcer() {
  return (
    <div class="sr" role="status" aria-live="polite">
      {announcement.value}
    </div>
  );
}
