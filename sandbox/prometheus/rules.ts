/** The alerting rules of the Sovereign, named as the handbook names its alerts (§4.2). */
import type { Pace } from '../pace.ts';

export interface AlertingRule {
  alert: string;
  expr: string;
  forMs: number;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

export interface RuleGroup {
  name: string;
  rules: AlertingRule[];
}

/** The rules at a pace: a real Sovereign waits minutes (`for`) and takes rates over five of them. */
export function ruleGroups(pace: Pace): RuleGroup[] {
  const forMs = pace.alertForMs;
  const range = `${Math.max(1, Math.round(pace.rateWindowMs))}ms`;
  const errors = `sum by (namespace, service, organization) (rate(http_requests_total{code=~"5.."}[${range}]))`;
  const requests = `sum by (namespace, service, organization) (rate(http_requests_total[${range}]))`;
  const limitShare = 'container_memory_working_set_bytes / container_spec_memory_limit_bytes';
  const workload = 'on (namespace, pod) group_left (workload) namespace_workload_pod:kube_pod_owner:relabel';
  return [
    {
      name: 'catalyst-control-plane',
      rules: [
        {
          alert: 'OpenBaoSealed',
          expr: 'vault_core_unsealed == 0',
          forMs,
          labels: { severity: 'critical' },
          annotations: {
            summary: 'OpenBao pod {{ $labels.pod }} is sealed',
            description: 'Secrets cannot be read from {{ $labels.namespace }}/{{ $labels.pod }} until it is unsealed.',
            runbook_url: 'https://gitea.example/system/runbooks/src/branch/main/runbooks/openbao-sealed.yaml',
          },
        },
        {
          alert: 'PodCrashLoopBackOff',
          expr: 'kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} == 1',
          forMs,
          labels: { severity: 'warning' },
          annotations: {
            summary: 'Pod {{ $labels.pod }} is crash-looping',
            description:
              'Container {{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} keeps exiting.',
          },
        },
        {
          alert: 'HighErrorRate',
          expr: `${errors} / ${requests} > 0.05`,
          forMs,
          labels: { severity: 'critical', deployment: '{{ $labels.service }}' },
          annotations: {
            summary: '{{ $labels.service }} answers {{ $value | humanizePercentage }} of its requests with errors',
            description: 'The share of 5xx answers of {{ $labels.namespace }}/{{ $labels.service }} is above 5%.',
          },
        },
        {
          alert: 'HighMemoryUsage',
          expr: `max by (namespace, workload, organization) (${limitShare} * ${workload}) > 0.9`,
          forMs,
          labels: { severity: 'warning', deployment: '{{ $labels.workload }}' },
          annotations: {
            summary: '{{ $labels.workload }} uses {{ $value | humanizePercentage }} of its memory limit',
            description: 'A pod of {{ $labels.namespace }}/{{ $labels.workload }} is above 90% of its memory limit.',
          },
        },
      ],
    },
  ];
}

/** Fills `{{ $labels.x }}`, `{{ $value }}` and `{{ $value | humanizePercentage }}`: what the rules above use. */
export function fillTemplate(template: string, labels: Record<string, string>, value: number): string {
  return template.replace(/\{\{\s*\$(labels\.(\w+)|value)\s*(?:\|\s*(\w+)\s*)?\}\}/g, (_, what, label, filter) => {
    if (what !== 'value') return labels[label] ?? '';
    return filter === 'humanizePercentage' ? `${Number((value * 100).toPrecision(4))}%` : String(value);
  });
}
