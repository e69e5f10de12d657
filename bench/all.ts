/** Every benchmark, one after the other: `npm run bench`; with `-- --write` the tables go into docs/benchmarks.md. */
import { benchAcknowledgement } from './acknowledgement.ts';
import { benchFirstAction } from './first-action.ts';
import { benchFootprint } from './footprint.ts';
import { benchIntake } from './intake.ts';
import { benchStepOverhead } from './step-overhead.ts';
import { report } from './support/report.ts';
import { benchWaitingRuns } from './waiting-runs.ts';

await report([
  () => benchIntake(),
  () => benchAcknowledgement(),
  () => benchFirstAction(),
  () => benchStepOverhead(),
  () => benchWaitingRuns(),
  () => benchFootprint(),
]);
