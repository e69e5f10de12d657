/** The four dashboards of an Organization, each its own slice (handbook §8.3). */
import type { Dashboard } from './dashboard.ts';
import { bars, budgetColours, course, noneIsGood, ofOrganization, stat, table } from './sovereign-dashboards.ts';

const own = 'organization=~"$organization"';

const apps: Dashboard = {
  uid: 'catalyst-apps-overview',
  title: 'Apps Overview',
  description: 'All Applications across Environments. Handbook section 8.3.',
  folder: 'Organization',
  variables: { organization: 'label_values(catalyst_application_state, organization)' },
  rows: [
    {
      title: 'Applications',
      panels: [
        bars(
          'By state',
          `sum by (environment, state) (catalyst_application_state{${own}})`,
          '{{environment}} {{state}}',
          { width: 24 },
        ),
        table('Applications', `max by (environment, application, state) (catalyst_application_state{${own}}) == 1`),
      ],
    },
    {
      title: 'Workloads',
      panels: [
        course('Pods that crash', [
          [
            `sum by (namespace) (max by (namespace, pod) (kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}) ${ofOrganization})`,
            '{{namespace}}',
          ],
        ]),
        course('Replicas missing', [
          [
            `sum by (namespace, deployment) ((kube_deployment_spec_replicas - kube_deployment_status_replicas_ready) ${ofOrganization})`,
            '{{namespace}}/{{deployment}}',
          ],
        ]),
        course(
          'Requests',
          [
            [
              'sum by (destination_namespace, destination_workload) (rate(hubble_http_requests_total{destination_namespace=~"($organization)-.+"}[$__rate_interval]))',
              '{{destination_namespace}}/{{destination_workload}}',
            ],
          ],
          { unit: 'reqps' },
        ),
        course(
          'Errors',
          [
            [
              'sum by (destination_namespace, destination_workload) (rate(hubble_http_requests_total{destination_namespace=~"($organization)-.+",status=~"5.."}[$__rate_interval])) / sum by (destination_namespace, destination_workload) (rate(hubble_http_requests_total{destination_namespace=~"($organization)-.+"}[$__rate_interval]))',
              '{{destination_namespace}}/{{destination_workload}}',
            ],
          ],
          { unit: 'percentunit' },
        ),
      ],
    },
  ],
};

const budget: Dashboard = {
  uid: 'catalyst-budget',
  title: 'Budget',
  description: 'Cost projection and billing. Handbook sections 8.3 and 4.3.',
  folder: 'Organization',
  variables: { organization: 'label_values(catalyst_organization_budget, organization)' },
  rows: [
    {
      title: 'This month',
      panels: [
        stat(
          'Spent',
          `max(catalyst_organization_cost{${own}} / on (organization, currency) catalyst_organization_budget)`,
          {
            unit: 'percentunit',
            description: 'From 80 % a warning is logged, from 100 % nothing scales up.',
            thresholds: [
              [0.8, 'yellow'],
              [1, 'red'],
            ],
          },
        ),
        stat(
          'Projected',
          `max(catalyst_organization_cost_projected{${own}} / on (organization, currency) catalyst_organization_budget)`,
          {
            unit: 'percentunit',
            thresholds: [
              [0.8, 'yellow'],
              [1, 'red'],
            ],
          },
        ),
        stat('Cost', `sum(catalyst_organization_cost{${own}})`),
        stat('Budget', `sum(catalyst_organization_budget{${own}})`),
        course(
          'Cost and budget',
          [
            [`sum by (organization) (catalyst_organization_cost{${own}})`, 'cost {{organization}}'],
            [`sum by (organization) (catalyst_organization_cost_projected{${own}})`, 'projected {{organization}}'],
            [`sum by (organization) (catalyst_organization_budget{${own}})`, 'budget {{organization}}'],
          ],
          { width: 24 },
        ),
      ],
    },
    {
      title: 'LLM gateway',
      panels: [
        table('Budget left', 'sort(min by (team_alias) (litellm_remaining_team_budget_metric))', {
          base: 'red',
          thresholds: [[1, 'green']],
        }),
      ],
    },
  ],
};

const compliance: Dashboard = {
  uid: 'catalyst-compliance-posture',
  title: 'Compliance Posture',
  description: 'Evidence for each control. Handbook section 8.3.',
  folder: 'Organization',
  variables: {
    organization: 'label_values(catalyst_compliance_control_satisfied, organization)',
    framework: 'label_values(catalyst_compliance_control_satisfied, framework)',
  },
  rows: [
    {
      title: 'Controls',
      panels: [
        bars(
          'Satisfied',
          `avg by (framework) (catalyst_compliance_control_satisfied{${own},framework=~"$framework"})`,
          '{{framework}}',
          { unit: 'percentunit', base: 'red', thresholds: [[1, 'green']] },
        ),
        course(
          'Satisfied',
          [
            [
              `avg by (framework) (catalyst_compliance_control_satisfied{${own},framework=~"$framework"})`,
              '{{framework}}',
            ],
          ],
          { unit: 'percentunit' },
        ),
        table(
          'Not satisfied',
          `max by (framework, control) (catalyst_compliance_control_satisfied{${own},framework=~"$framework"}) == 0`,
          { width: 12 },
        ),
        table(
          'Age of the evidence',
          `sort_desc(max by (framework, control) (time() - catalyst_compliance_evidence_timestamp_seconds{${own},framework=~"$framework"}))`,
          { unit: 's', width: 12 },
        ),
      ],
    },
  ],
};

const incidents: Dashboard = {
  uid: 'catalyst-incidents',
  title: 'Incidents',
  description: 'Open issues and how long it takes to mend them. Handbook section 8.3.',
  folder: 'Organization',
  variables: {},
  rows: [
    {
      title: 'Open',
      panels: [
        bars('Incidents by severity', 'sum by (severity) (catalyst_sre_incidents_open)', '{{severity}}', noneIsGood),
        course('Open incidents', [['sum by (severity) (catalyst_sre_incidents_open)', '{{severity}}']]),
        table('Firing alerts', 'count by (alertname, severity) (ALERTS{alertstate="firing"})'),
      ],
    },
    {
      title: 'Mending',
      panels: [
        course(
          'Time to mend, of 24 hours',
          [
            [
              'sum_over_time(sum(catalyst_sre_incidents_open)[1d:1m]) * 60 / clamp_min(sum(increase(catalyst_sre_runs_total{outcome="Succeeded"}[1d])), 1)',
              'for each run that worked',
            ],
          ],
          {
            unit: 's',
            description:
              'Time incidents were open in a day, shared by the runs that worked: an average, which falls when runbooks mend more of them. Each incident has its own times in the console.',
          },
        ),
        course('Pages', [['sum by (outcome) (increase(catalyst_sre_pages_total[1h]))', '{{outcome}}']]),
        course('Error budgets', [['min by (slo) (slo:error_budget_remaining:ratio)', '{{slo}}']], {
          ...budgetColours,
          width: 24,
        }),
      ],
    },
  ],
};

export const organizationDashboards: readonly Dashboard[] = [apps, budget, compliance, incidents];
