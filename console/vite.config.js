import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

/** For `npx vite console`, which serves the sources beside a running `npm start`. */
const server = 'http://127.0.0.1:8080';

// biome-ignore lint/style/noDefaultExport: what Vite reads.
export default defineConfig({
  plugins: [svelte()],
  // The policy of the server allows nothing inline, so nothing is turned into a data URL.
  build: { target: 'es2023', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { '/api': server, '/auth': server, '/readyz': server } },
});
