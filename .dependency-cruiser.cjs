/**
 * The fences of the house. The tree is the flow: imports point forward (alert → incident → run), backward edges are rows.
 * `test/fences.test.ts` proves that they catch what they forbid.
 */
const rooms = 'alert|incident|run|guard|catalog|check|api|cli|app|audit|notify|failover|slo|probe|delivery|rotation|privacy|airgap';
const tests = { pathNot: '\\.test\\.ts$' };

/** A room and the rooms it may know beside its own and the ground floor (clock, errors, ids). */
const mayKnow = {
  telemetry: [],
  database: [],
  check: ['integrations/contract'],
  catalog: ['check', 'integrations/contract'],
  guard: ['catalog', 'integrations/contract'],
  audit: ['database', 'integrations/contract'],
  alert: ['database', 'audit', 'integrations/contract'],
  incident: ['alert', 'catalog', 'database', 'audit', 'integrations/contract'],
  notify: ['catalog', 'database', 'audit', 'integrations/contract'],
  slo: ['catalog', 'check'],
  probe: [],
  failover: ['catalog', 'integrations', 'telemetry'],
  run: ['alert', 'incident', 'catalog', 'check', 'guard', 'notify', 'database', 'audit', 'integrations/contract'],
};

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(mayKnow).map(([room, known]) => ({
      name: `${room}-knows-too-much`,
      severity: 'error',
      from: { path: `^src/${room}/`, ...tests },
      to: { path: '^src/[^/]+/', pathNot: [`^src/${room}/`, ...known.map((other) => `^src/${other}`)] },
    })),
    {
      name: 'integrations-know-no-room',
      comment: 'Adding a system touches only its folder.',
      severity: 'error',
      from: { path: '^src/integrations/', ...tests },
      to: { path: `^src/(${rooms}|database|telemetry)/` },
    },
    {
      name: 'doors-go-through-services',
      severity: 'error',
      from: { path: '^src/(api|cli)/', ...tests },
      to: { path: '^src/integrations/(?!contract)' },
    },
    {
      name: 'decisions-are-pure',
      comment: 'A decision takes values and returns values.',
      severity: 'error',
      from: { path: '-decision\\.ts$' },
      to: { path: '(-store|-service|-queries)\\.ts$|^src/(database|app|api)/|^(node:)?(fs|net|http|https|child_process|timers)(/|$)' },
    },
    {
      name: 'production-knows-no-sandbox',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/app/', '\\.test\\.ts$'] },
      to: { path: '^(sandbox|testbed|test|bench|tools)/' },
    },
    {
      name: 'console-knows-the-api-only',
      comment: 'It asks the server over HTTP; its types are generated from the OpenAPI document.',
      severity: 'error',
      from: { path: '^console/' },
      to: { path: '^(src|sandbox|testbed|test|bench|tools)/' },
    },
    {
      name: 'server-knows-no-console',
      severity: 'error',
      from: { path: '^(src|sandbox)/' },
      to: { path: '^console/' },
    },
    {
      name: 'only-the-root-wires',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(app|cli)/', '^src/main\\.ts$', '\\.test\\.ts$'] },
      to: { path: '^src/app/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
  },
};
