/** Runbooks of the benchmarks, as YAML, and the alerts that start them. */
import { alert, type BenchAlert } from './alerts.ts';

/** Kinds of trouble a benchmark has: each has a runbook of its own, as different objects have in real life. */
export const kinds = 100;

/** @param steps YAML of the steps, indented by four */
function runbook(name: string, alertName: string, guards: string, steps: readonly string[]): string {
  return `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata:
  name: ${name}
spec:
  triggers:
    - alertName: ${alertName}
  mode: Automatic
  steps:
${steps.map((step) => `    - ${step}`).join('\n')}
  guards:
    cooldown: 0s
    maxRuns: { count: 1000, per: 1m }
    ${guards}
`;
}

const perAlert = 'concurrencyKey: bench/${{ alert.labels.n }}';

/** One action for each alert, and a look at what came of it. */
export function actingRunbooks(url: string): string[] {
  return Array.from({ length: kinds }, (_, kind) =>
    runbook(`act-${kind}`, `Acts${kind}`, perAlert, [
      `run: http request PUT "${url}/act/\${{ alert.labels.n }}"`,
      `verify: http.status("${url}/healthy") == 200`,
    ]),
  );
}

/** So many actions, one after the other. */
export function steppingRunbook(url: string, steps: number): string {
  const step = (_: unknown, index: number) => `run: http request PUT "${url}/act/\${{ alert.labels.n }}/${index}"`;
  return runbook('steps', 'Steps', perAlert, Array.from({ length: steps }, step));
}

/** A verification that does not hold and goes on, with the interval a runbook gets that says nothing else. */
export function waitingRunbook(url: string): string {
  return runbook('waits', 'Waits', perAlert, [
    `verify: http.status("${url}/act/" + alert.labels.n) == 500\n      within: 1h`,
  ]);
}

/** Alert number `n`, that its runbook confirms and acts on. */
export function triggering(n: number, alertname: string): BenchAlert {
  return {
    ...alert(n, { alertname, n: String(n) }),
    generatorURL: `http://prometheus:9090/graph?g0.expr=${encodeURIComponent(`bench{n="${n}"} == 1`)}`,
  };
}
