/** The kinds of documents a catalog knows. A new kind is a file in `kinds/` and a line here. */

import { alertRuleKind } from './kinds/alert-rule.ts';
import { businessCalendarKind } from './kinds/business-calendar.ts';
import { escalationPolicyKind } from './kinds/escalation-policy.ts';
import { exporterKind } from './kinds/exporter.ts';
import { failoverGroupKind } from './kinds/failover-group.ts';
import { incidentTypeKind } from './kinds/incident-type.ts';
import { onCallScheduleKind } from './kinds/on-call-schedule.ts';
import { runbookKind } from './kinds/runbook.ts';
import { runbookTestKind } from './kinds/runbook-test.ts';
import { serviceLevelObjectiveKind } from './kinds/service-level-objective.ts';
import type { Kind } from './resource.ts';

export const kinds: readonly Kind[] = [
  runbookKind,
  incidentTypeKind,
  runbookTestKind,
  businessCalendarKind,
  onCallScheduleKind,
  escalationPolicyKind,
  serviceLevelObjectiveKind,
  alertRuleKind,
  exporterKind,
  failoverGroupKind,
];
