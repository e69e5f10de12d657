/**
 * For tests: Grafana's dashboard schema as Grafana publishes it, made into JSON Schema from the types of `@grafana/schema`.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createGenerator } from 'ts-json-schema-generator';

export function grafanaDashboardSchema(): object {
  const root = dirname(createRequire(import.meta.url).resolve('@grafana/schema/package.json'));
  return createGenerator({
    path: join(root, 'dist/types/raw/dashboard/x/types.gen.d.ts'),
    type: 'Dashboard',
    skipTypeCheck: true,
    // Panels have options of their own plugins.
    additionalProperties: true,
  }).createSchema('Dashboard');
}
