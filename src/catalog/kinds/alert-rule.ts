/** The AlertRule: a condition that people, or a runbook, have to know of (handbook §4.2, §13). */
import Type, { type Static } from 'typebox';
import type { Kind, Resource } from '../resource.ts';
import {
  AlertName,
  AlertSeverity,
  Duration,
  Example,
  Handbook,
  Labels,
  NotifyOnly,
  PromQl,
  RunbookName,
  Service,
  Strict,
} from './alerting.ts';

export const AlertRuleSpec = Type.Object(
  {
    alert: AlertName('Name of the alert.', 'OpenBaoSealed'),
    service: Service,
    handbook: Type.Optional(Handbook),
    expr: PromQl('The alert is active for each series this returns.', 'vault_core_unsealed == 0'),
    for: Type.Optional(Duration('It fires when active for so long. Default 0s.', '1m')),
    keepFiringFor: Type.Optional(
      Duration('It goes on firing for so long after it was last active. Prometheus 2.42 and newer.', '5m'),
    ),
    severity: AlertSeverity('critical wakes somebody, warning waits for working hours, info is for the record.'),
    labels: Type.Optional(Labels),
    summary: Type.String({
      description: 'One line for the person who is told; may use {{ $labels.NAME }} and {{ $value }}.',
      minLength: 1,
      maxLength: 1024,
      examples: ['OpenBao {{ $labels.instance }} is sealed'],
    }),
    description: Type.Optional(
      Type.String({ description: 'What it means and what to look at; may use templates too.', maxLength: 8192 }),
    ),
    runbook: Type.Optional(RunbookName),
    notifyOnly: Type.Optional(NotifyOnly),
    noData: Type.Optional(
      Type.Enum(['Silent', 'Fires'], {
        description: 'What it does when there is no series at all. Default Silent.',
      }),
    ),
    example: Type.Optional(Example),
  },
  { ...Strict, description: 'An alerting rule.' },
);

export type AlertRuleSpec = Static<typeof AlertRuleSpec>;
export type AlertRule = Resource<AlertRuleSpec>;

export const alertRuleKind: Kind = {
  kind: 'AlertRule',
  plural: 'alertrules',
  shortNames: ['ar'],
  description: 'A condition that people, or a runbook, have to know of.',
  spec: AlertRuleSpec,
};
