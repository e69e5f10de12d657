/** The objectives of the pocket Sovereign: the handbook's and its owners', all of them measured. */
import { join } from 'node:path';
import type { SteadySeries } from '../../sandbox/prometheus/exporters.ts';
import type { Sandbox } from '../../sandbox/start.ts';
import { packageDirectory } from '../package-directory.ts';
import { write } from '../slo/decimal.ts';
import { loadSloDocuments } from '../slo/documents.ts';
import { parsePromQl, selectorsOf } from '../slo/promql.ts';
import { exampleOf, growth } from '../slo/rule-tests.ts';
import { sloGroups } from '../slo/rules.ts';
import type { Slo } from '../slo/slo.ts';
import { handbookDirectory, textsUnder } from './document-files.ts';

/** What its owners declare beside the handbook. */
export const ownDocuments = join(packageDirectory, 'sandbox', 'catalog');
/** The product itself: its job in Prometheus, and the service of its objectives. It is scraped, nothing about it is made up. */
export const ourselves = 'catalyst-sre';

/**
 * Loads the recording rules of all objectives, as `render prometheus` writes them for a real Prometheus. Of a service that the
 * pocket Sovereign does not run, the series of the objective's own example are scraped, as they are while all is nearly well.
 */
export async function watchObjectives(prometheus: Sandbox['prometheus']): Promise<void> {
  const slos = await objectives();
  const isMeasured = ({ indicator: { base } }: Slo) => base[0] !== undefined && prometheus.knows(base[0].expr);
  const others = slos.filter((slo) => slo.spec.service !== ourselves && !isMeasured(slo));
  prometheus.addSteady(others.flatMap(usualSeries));
  prometheus.load(
    slos.flatMap((slo) => sloGroups(slo).flatMap(({ rules }) => rules.filter((rule) => 'record' in rule))),
  );
}

async function objectives(): Promise<readonly Slo[]> {
  const folders = [join(handbookDirectory, 'exporters'), join(handbookDirectory, 'slos'), ownDocuments];
  return loadSloDocuments(await textsUnder(folders)).slos;
}

/** The quiet series of an objective's example, with as much of the firing ones as uses up some of its budget. */
export function usualSeries(slo: Slo): SteadySeries[] {
  const bad = usedShare(slo.name) * Number(write(slo.budget));
  return (exampleOf(slo) ?? []).flatMap(({ series, quiet, firing }): SteadySeries[] => {
    const labels = labelsOf(series);
    const [usual, wrong] = [growth(quiet), growth(firing)];
    if (usual !== undefined) return [{ labels, perSecond: (usual * (1 - bad) + (wrong ?? 0) * bad) / 60 }];
    return quiet === 'absent' ? [] : [{ labels, value: Number(quiet) }];
  });
}

/** Between a twentieth and two thirds, as no two services are alike; the same at each start. */
function usedShare(name: string): number {
  const sum = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
  return 0.05 + (sum % 13) / 20;
}

/** `name{label="value"}` as labels, the name among them. */
function labelsOf(series: string): Record<string, string> {
  const [selector] = selectorsOf(parsePromQl(series));
  const labels = (selector?.matchers ?? []).map(({ label, value }) => [label, value]);
  return { __name__: selector?.metric ?? '', ...Object.fromEntries(labels) };
}
