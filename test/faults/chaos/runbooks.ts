/** The runbooks of a chaos run: every way an effect can be intended, lost, asked about, repeated and taken back. */
import { slowestEffect } from './world.ts';

/** The alerts the sender sends; each starts the runbook of its name. */
export const alertNames = [
  'ChaosConfirmed',
  'ChaosBlind',
  'ChaosRepeatable',
  'ChaosUndone',
  'ChaosWaits',
  'ChaosApproval',
] as const;
export type AlertName = (typeof alertNames)[number];

/** Longer than the world ever keeps a request: what has not happened by then is not going to happen. */
const timeout = `${slowestEffect + 1_000}ms`;

/** One file with all of them, for a world at this URL. */
export function runbooks(world: string): string {
  const ask = (phase: 'steps' | 'undo', step: number) => `
      with:
        confirmUrl: ${world}/confirm/\${{ run.id }}/${phase}/${step}`;
  const act = (step: number, attempts = 5) => `
    - run: http request POST ${world}/act
      timeout: ${timeout}
      retry: {attempts: ${attempts}, backoff: 100ms}${ask('steps', step)}`;
  const undo = (step: number) => `
      undo:
        run: http request POST ${world}/act
        with:
          confirmUrl: ${world}/confirm/\${{ run.id }}/undo/${step}`;
  const verify = (step: number, hold = '0s') => `
    - verify: http.json('${world}/state/' + run.id + '/steps/${step}').done == true
      for: ${hold}
      within: 20s
      every: 500ms`;
  const steps: Record<AlertName, string> = {
    ChaosConfirmed: act(0) + verify(0) + act(2),
    // Nobody can be asked: what is lost has to end as Unknown, and page.
    ChaosBlind: `
    - run: http request POST ${world}/act
      timeout: ${timeout}`,
    ChaosRepeatable: `
    - run: http request PUT ${world}/act
      timeout: ${timeout}
      retry: {attempts: 5, backoff: 100ms}${verify(0, '1s')}`,
    ChaosUndone: `${act(0)}${undo(0)}
    - run: http request POST ${world}/refuse`,
    ChaosWaits: `${act(0)}
    - wait: 1s${act(2)}`,
    ChaosApproval: act(0),
  };
  return alertNames.map((name) => runbook(name, steps[name])).join('---\n');
}

function runbook(name: AlertName, steps: string): string {
  return `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata:
  name: ${name.replace('Chaos', 'chaos-').toLowerCase()}
spec:
  mode: ${name === 'ChaosApproval' ? 'Approval' : 'Automatic'}
  triggers:
    - alertName: ${name}
  guards:
    cooldown: 0s
    maxRuns: {count: 1000, per: 1s}
    concurrencyKey: \${{ alert.fingerprint }}
  steps:${steps}
`;
}
