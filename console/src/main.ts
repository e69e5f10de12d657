import { mount } from 'svelte';
import App from './App.svelte';
import { startRouter } from './router.svelte.ts';
import { begin } from './server/session.svelte.ts';
import { applyTheme } from './theme.svelte.ts';
import './styles/base.css';
import './styles/parts.css';

applyTheme();
startRouter();
void begin();
const target = document.getElementById('console');
if (target) mount(App, { target });
