/** The six dashboards of a Sovereign (handbook §8.2). */
import type { Dashboard, Panel } from './dashboard.ts';

type Query = Panel['queries'][number];

export const stat = (title: string, expr: string, further: Partial<Panel> = {}): Panel => ({
  title,
  type: 'stat',
  queries: [{ expr }],
  width: 6,
  ...further,
});
export const course = (
  title: string,
  queries: readonly (readonly [string, string])[],
  further: Partial<Panel> = {},
): Panel => ({
  title,
  type: 'timeseries',
  queries: queries.map(([expr, legend]): Query => ({ expr, legend })),
  width: 12,
  ...further,
});
export const table = (title: string, expr: string, further: Partial<Panel> = {}): Panel => ({
  title,
  type: 'table',
  queries: [{ expr }],
  ...further,
});
export const bars = (title: string, expr: string, legend: string, further: Partial<Panel> = {}): Panel => ({
  title,
  type: 'bargauge',
  queries: [{ expr, legend }],
  width: 12,
  ...further,
});

/** Of an error budget: red when it is gone, yellow when a quarter is left. */
export const budgetColours = {
  unit: 'percentunit',
  base: 'red',
  thresholds: [
    [0, 'yellow'],
    [0.25, 'green'],
  ],
} as const;
/** Of a number that should be 0. */
export const noneIsGood = { thresholds: [[1, 'red']] } as const;

const slos = 'slo_service=~"$service"';
/** Namespaces of the chosen Organizations, to be multiplied with. */
export const ofOrganization =
  '* on (namespace) group_left (label_catalyst_openova_io_organization) kube_namespace_labels{label_catalyst_openova_io_organization=~"$organization"}';
const byOrganization = 'sum by (label_catalyst_openova_io_organization)';
const organizationLegend = '{{label_catalyst_openova_io_organization}}';

const health: Dashboard = {
  uid: 'catalyst-sovereign-health',
  title: 'Sovereign Health',
  description: 'All Catalyst components and the service level objectives. Handbook section 8.2.',
  folder: 'Sovereign',
  variables: { service: 'label_values(slo:objective:ratio, slo_service)' },
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Open incidents', 'sum(catalyst_sre_incidents_open)', noneIsGood),
        stat(
          'Firing critical alerts',
          'count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)',
          noneIsGood,
        ),
        stat('Budgets spent', `count(slo:error_budget_remaining:ratio{${slos}} < 0) or vector(0)`, noneIsGood),
        stat(
          'Objectives nothing is measured for',
          'count(ALERTS{alertname="SLODataMissing",alertstate="firing"}) or vector(0)',
          noneIsGood,
        ),
      ],
    },
    {
      title: 'Service level objectives',
      panels: [
        bars('Error budget left', `min by (slo) (slo:error_budget_remaining:ratio{${slos}})`, '{{slo}}', budgetColours),
        course(
          'Burn rate over an hour',
          [
            [
              `max by (slo) (slo:error_ratio:1h{${slos}} / on (slo, slo_service) group_left () (1 - slo:objective:ratio))`,
              '{{slo}}',
            ],
          ],
          { description: '1 spends the budget exactly by the end of its window; at 14.4 somebody is called.' },
        ),
        course(
          'Error budget left',
          [[`min by (slo) (slo:error_budget_remaining:ratio{${slos}})`, '{{slo}}']],
          budgetColours,
        ),
        course('Errors over five minutes', [[`max by (slo) (slo:error_ratio:5m{${slos}})`, '{{slo}}']], {
          unit: 'percentunit',
        }),
      ],
    },
    {
      title: 'Components',
      panels: [
        table('Targets that cannot be scraped', 'sum by (job, namespace) (up == bool 0) > 0'),
        stat('Console', 'max(probe_success{job="console"})', { base: 'red', thresholds: [[1, 'green']] }),
        stat('Gitea', 'max(probe_success{job="gitea"})', { base: 'red', thresholds: [[1, 'green']] }),
        stat('OpenBao unsealed', 'min(vault_core_unsealed)', { base: 'red', thresholds: [[1, 'green']] }),
        stat('Healthy GSLB records', 'min(k8gb_gslb_healthy_records)', { base: 'red', thresholds: [[1, 'green']] }),
        course('JetStream messages pending', [
          [
            'max by (stream_name, consumer_name) (jetstream_consumer_num_pending{is_consumer_leader="true"})',
            '{{stream_name}} {{consumer_name}}',
          ],
        ]),
        course(
          'Certificates: time left',
          [
            [
              'min by (namespace, name) (certmanager_certificate_expiration_timestamp_seconds - time())',
              '{{namespace}}/{{name}}',
            ],
          ],
          { unit: 's' },
        ),
      ],
    },
    {
      title: 'GPUs',
      panels: [
        course('Utilization', [['avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL)', '{{Hostname}} {{gpu}}']], {
          unit: 'percent',
        }),
        course('Memory used', [['max by (Hostname, gpu) (DCGM_FI_DEV_FB_USED)', '{{Hostname}} {{gpu}}']], {
          unit: 'decmbytes',
        }),
        course('Temperature', [['max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP)', '{{Hostname}} {{gpu}}']], {
          unit: 'celsius',
          width: 8,
        }),
        course('Power', [['max by (Hostname, gpu) (DCGM_FI_DEV_POWER_USAGE)', '{{Hostname}} {{gpu}}']], {
          unit: 'watt',
          width: 8,
        }),
        course('SM clock', [['min by (Hostname, gpu) (DCGM_FI_DEV_SM_CLOCK)', '{{Hostname}} {{gpu}}']], {
          unit: 'rotmhz',
          width: 8,
        }),
      ],
    },
  ],
};

const footprint: Dashboard = {
  uid: 'catalyst-organization-footprint',
  title: 'Per-Org Footprint',
  description: 'What each Organization uses. Handbook section 8.2.',
  folder: 'Sovereign',
  variables: { organization: 'label_values(kube_namespace_labels, label_catalyst_openova_io_organization)' },
  rows: [
    {
      title: 'Use',
      panels: [
        course('Processors used', [
          [
            `${byOrganization} (sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[$__rate_interval])) ${ofOrganization})`,
            organizationLegend,
          ],
        ]),
        course(
          'Memory used',
          [
            [
              `${byOrganization} (sum by (namespace) (container_memory_working_set_bytes{container!=""}) ${ofOrganization})`,
              organizationLegend,
            ],
          ],
          { unit: 'bytes' },
        ),
        course(
          'Storage asked for',
          [
            [
              `${byOrganization} (sum by (namespace) (kube_persistentvolumeclaim_resource_requests_storage_bytes) ${ofOrganization})`,
              organizationLegend,
            ],
          ],
          { unit: 'bytes' },
        ),
        course('GPUs asked for', [
          [
            `${byOrganization} (sum by (namespace) (kube_pod_container_resource_requests{resource="nvidia_com_gpu"}) ${ofOrganization})`,
            organizationLegend,
          ],
        ]),
      ],
    },
    {
      title: 'Asked for against used',
      panels: [
        table(
          'Share of the processors asked for that is used',
          `${byOrganization} (sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[5m])) ${ofOrganization}) / ${byOrganization} (sum by (namespace) (kube_pod_container_resource_requests{resource="cpu"}) ${ofOrganization})`,
          { unit: 'percentunit', width: 12 },
        ),
        table(
          'Share of the memory asked for that is used',
          `${byOrganization} (sum by (namespace) (container_memory_working_set_bytes{container!=""}) ${ofOrganization}) / ${byOrganization} (sum by (namespace) (kube_pod_container_resource_requests{resource="memory"}) ${ofOrganization})`,
          { unit: 'percentunit', width: 12 },
        ),
      ],
    },
  ],
};

const environment: Dashboard = {
  uid: 'catalyst-environment',
  title: 'Per-Environment',
  description: 'States of Applications and error budgets. Handbook section 8.2.',
  folder: 'Sovereign',
  variables: {
    organization: 'label_values(catalyst_application_state, organization)',
    environment: 'label_values(catalyst_application_state{organization=~"$organization"}, environment)',
  },
  rows: [
    {
      title: 'Applications',
      panels: [
        bars(
          'Applications by state',
          'sum by (state) (catalyst_application_state{organization=~"$organization",environment=~"$environment"})',
          '{{state}}',
        ),
        course(
          'Push to reconciliation, 95th percentile',
          [
            [
              'histogram_quantile(0.95, sum by (le, environment) (rate(catalyst_webhook_to_reconcile_seconds_bucket{environment=~"$environment"}[$__rate_interval])))',
              '{{environment}}',
            ],
          ],
          { unit: 's' },
        ),
        table(
          'Applications',
          'max by (organization, environment, application, state) (catalyst_application_state{organization=~"$organization",environment=~"$environment"}) == 1',
        ),
        table(
          'Flux objects that are not reconciled',
          'max by (exported_namespace, customresource_kind, name) (gotk_resource_info{ready="False",suspended!="true"})',
        ),
      ],
    },
    {
      title: 'Error budgets',
      panels: [
        bars('Error budget left', 'min by (slo) (slo:error_budget_remaining:ratio)', '{{slo}}', budgetColours),
        course('Errors over a day', [['max by (slo) (slo:error_ratio:1d)', '{{slo}}']], { unit: 'percentunit' }),
      ],
    },
  ],
};

const promotions = 'organization=~"$organization"';
const promotion: Dashboard = {
  uid: 'catalyst-promotion-activity',
  title: 'Promotion Activity',
  description: 'Promotions by EnvironmentPolicy, soak times and latency of approvers. Handbook section 8.2.',
  folder: 'Sovereign',
  variables: { organization: 'label_values(catalyst_promotions_total, organization)' },
  rows: [
    {
      title: 'Promotions',
      panels: [
        course('Promotions an hour', [
          [`sum by (outcome) (increase(catalyst_promotions_total{${promotions}}[1h]))`, '{{outcome}}'],
        ]),
        bars(
          'Promotions in a week',
          `sum by (environment, outcome) (increase(catalyst_promotions_total{${promotions}}[7d]))`,
          '{{environment}} {{outcome}}',
        ),
        course(
          'Soak time, median',
          [
            [
              `histogram_quantile(0.5, sum by (le, environment) (rate(catalyst_promotion_soak_seconds_bucket{${promotions}}[1d])))`,
              '{{environment}}',
            ],
          ],
          { unit: 's' },
        ),
        course(
          'Wait for an approval, 90th percentile',
          [
            [
              `histogram_quantile(0.9, sum by (le, organization) (rate(catalyst_promotion_approval_seconds_bucket{${promotions}}[1d])))`,
              '{{organization}}',
            ],
          ],
          { unit: 's' },
        ),
      ],
    },
    {
      title: 'Canaries',
      panels: [
        bars(
          'Canaries: 0 running, 1 successful, 2 failed',
          'max by (exported_namespace, name) (flagger_canary_status)',
          '{{exported_namespace}}/{{name}}',
          { thresholds: [[2, 'red']] },
        ),
        course(
          'Traffic to canaries',
          [['max by (exported_namespace, workload) (flagger_canary_weight)', '{{exported_namespace}}/{{workload}}']],
          { unit: 'percent' },
        ),
      ],
    },
  ],
};

const rotation: Dashboard = {
  uid: 'catalyst-secret-rotation',
  title: 'Secret Rotation',
  description: 'All credentials with their age and next rotation. Handbook section 8.2.',
  folder: 'Sovereign',
  variables: { class: 'label_values(catalyst_secret_last_rotation_timestamp_seconds, class)' },
  rows: [
    {
      title: 'Credentials',
      panels: [
        stat(
          'Overdue',
          'count(catalyst_secret_next_rotation_timestamp_seconds{class=~"$class"} < time()) or vector(0)',
          noneIsGood,
        ),
        stat(
          'Due within a week',
          'count(catalyst_secret_next_rotation_timestamp_seconds{class=~"$class"} - time() < 604800) or vector(0)',
        ),
        stat(
          'Failed rotations in a day',
          'sum(increase(catalyst_secret_rotation_failures_total{class=~"$class"}[1d])) or vector(0)',
          noneIsGood,
        ),
        stat('Oldest', 'max(time() - catalyst_secret_last_rotation_timestamp_seconds{class=~"$class"})', { unit: 's' }),
        table(
          'Age',
          'sort_desc(max by (class, organization, secret) (time() - catalyst_secret_last_rotation_timestamp_seconds{class=~"$class"}))',
          { unit: 's', width: 12 },
        ),
        table(
          'Time to the next rotation',
          'sort(min by (class, organization, secret) (catalyst_secret_next_rotation_timestamp_seconds{class=~"$class"} - time()))',
          { unit: 's', width: 12, base: 'red', thresholds: [[0, 'green']] },
        ),
      ],
    },
    {
      title: 'Certificates',
      panels: [
        table(
          'Time left',
          'sort(min by (namespace, name) (certmanager_certificate_expiration_timestamp_seconds - time()))',
          { unit: 's', width: 12 },
        ),
        table(
          'Third-party providers: time left',
          'sort(min by (tpp) (catalyst_tpp_certificate_not_after_seconds - time()))',
          { unit: 's', width: 12 },
        ),
      ],
    },
  ],
};

const audit: Dashboard = {
  uid: 'catalyst-audit',
  title: 'Audit',
  description: 'Commits, changes of roles and actions of SecretPolicies. Handbook section 8.2.',
  folder: 'Sovereign',
  variables: { organization: 'label_values(catalyst_audit_events_total, organization)' },
  rows: [
    {
      title: 'Changes',
      panels: [
        stat(
          'Commits in a day',
          `sum(increase(catalyst_audit_events_total{${promotions},kind="commit"}[1d])) or vector(0)`,
        ),
        stat(
          'Changes of roles in a day',
          `sum(increase(catalyst_audit_events_total{${promotions},kind="rbac"}[1d])) or vector(0)`,
        ),
        stat(
          'Actions of SecretPolicies in a day',
          `sum(increase(catalyst_audit_events_total{${promotions},kind="secret-policy"}[1d])) or vector(0)`,
        ),
        stat(
          'Refused in a day',
          `sum(increase(catalyst_audit_events_total{${promotions},outcome="refused"}[1d])) or vector(0)`,
          noneIsGood,
        ),
        course('Events an hour', [
          [`sum by (kind) (increase(catalyst_audit_events_total{${promotions}}[1h]))`, '{{kind}}'],
        ]),
        course('By Organization', [
          [`sum by (organization) (increase(catalyst_audit_events_total{${promotions}}[1h]))`, '{{organization}}'],
        ]),
      ],
    },
    {
      title: 'What the engine did',
      panels: [
        course('Runs', [['sum by (outcome) (increase(catalyst_sre_runs_total[1h]))', '{{outcome}}']]),
        course('Held back', [['sum by (reason) (increase(catalyst_sre_actions_blocked_total[1h]))', '{{reason}}']]),
      ],
    },
  ],
};

export const sovereignDashboards: readonly Dashboard[] = [health, footprint, environment, promotion, rotation, audit];
