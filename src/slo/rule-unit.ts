/** What becomes one rule file. */
import type { AlertRule } from '../catalog/kinds/alert-rule.ts';
import { byText } from '../catalog/order.ts';
import type { SloDocuments } from './documents.ts';
import { alertGroup, type RuleGroup, sloGroups } from './rules.ts';
import type { Slo } from './slo.ts';

/** What becomes one rule file: an SLO or an alert rule. */
export interface RuleUnit {
  service: string;
  /** `slo-` or `alert-` and the name of the document. */
  name: string;
  of: { slo: Slo } | { alert: AlertRule };
  groups: readonly RuleGroup[];
}

/** Ordered by service, then by name. */
export function ruleUnits({ slos, alerts }: Pick<SloDocuments, 'slos' | 'alerts'>): RuleUnit[] {
  const ofSlo = (slo: Slo): RuleUnit => ({
    service: slo.spec.service,
    name: `slo-${slo.name}`,
    of: { slo },
    groups: sloGroups(slo),
  });
  const ofAlert = (alert: AlertRule): RuleUnit => ({
    service: alert.spec.service,
    name: `alert-${alert.metadata.name}`,
    of: { alert },
    groups: [alertGroup(alert)],
  });
  const units = [...slos.map(ofSlo), ...alerts.map(ofAlert)];
  return units.sort((a, b) => byText(a.service, b.service) || byText(a.name, b.name));
}
