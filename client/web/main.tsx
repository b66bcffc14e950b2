/** The page: signing in, or the chat. */
import './style/index.css';
import { render } from 'preact';
import { Page } from './views/page.tsx';
import { applyTheme } from './state/theme.ts';
import { useBrowserTexts } from './state/texts.ts';
import { resume } from './state/session.ts';

applyTheme();
await useBrowserTexts();
render(<Page />, document.getElementById('page') as HTMLElement);
resume();
