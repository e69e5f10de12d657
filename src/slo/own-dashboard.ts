/** Catalyst SRE itself: whether alerts come in, are worked on, and reach people. */
import type { Dashboard } from './dashboard.ts';
import { bars, budgetColours, course, noneIsGood, stat } from './sovereign-dashboards.ts';

const slos = 'slo_service="catalyst-sre"';

export const ownDashboard: Dashboard = {
  uid: 'catalyst-sre-itself',
  title: 'Catalyst SRE',
  description: 'Whether alerts come in, are worked on, and reach people.',
  folder: 'Sovereign',
  variables: {},
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Running', 'sum(up{job="catalyst-sre"})', { base: 'red', thresholds: [[1, 'green']] }),
        stat('Open incidents', 'sum(catalyst_sre_incidents_open)', noneIsGood),
        stat('Record broken', 'max(catalyst_sre_record_broken)', noneIsGood),
        stat('Documents with errors', 'max(catalyst_sre_catalog_problems{severity="error"})', noneIsGood),
      ],
    },
    {
      title: 'Alerts in',
      panels: [
        course('Deliveries a second', [
          ['sum by (outcome) (rate(catalyst_sre_deliveries_total[$__rate_interval]))', '{{outcome}}'],
        ]),
        course('Alerts a second', [
          ['sum by (status) (rate(catalyst_sre_alerts_received_total[$__rate_interval]))', '{{status}}'],
        ]),
        course('Deliveries not yet worked through', [['max(catalyst_sre_intake_queue)', 'deliveries']]),
        course('Dead letters an hour', [['sum(increase(catalyst_sre_dead_letters_total[1h]))', 'dead letters']]),
      ],
    },
    {
      title: 'Runs',
      panels: [
        course('Runs an hour', [['sum by (outcome) (increase(catalyst_sre_runs_total[1h]))', '{{outcome}}']]),
        course('Oldest run that is due', [['max(catalyst_sre_oldest_due_run_seconds)', 'due for']], { unit: 's' }),
        course(
          'From the delivery to the first action, 90th percentile',
          [
            [
              'histogram_quantile(0.9, sum by (le) (rate(catalyst_sre_webhook_to_first_action_seconds_bucket[1h])))',
              'p90',
            ],
          ],
          { unit: 's' },
        ),
        course('Tries of actions an hour', [
          ['sum by (action, outcome) (increase(catalyst_sre_step_attempts_total[1h]))', '{{action}} {{outcome}}'],
        ]),
      ],
    },
    {
      title: 'People and process',
      panels: [
        course('Pages an hour', [['sum by (outcome) (increase(catalyst_sre_pages_total[1h]))', '{{outcome}}']]),
        bars('Error budget left', `min by (slo) (slo:error_budget_remaining:ratio{${slos}})`, '{{slo}}', budgetColours),
        course(
          'Answers, 95th percentile',
          [
            [
              'histogram_quantile(0.95, sum by (le, http_route) (rate(http_server_request_duration_seconds_bucket{job="catalyst-sre",http_route!="/api/v1/stream"}[$__rate_interval])))',
              '{{http_route}}',
            ],
          ],
          { unit: 's' },
        ),
        course(
          'Event loop lag',
          [['max by (quantile) (nodejs_eventloop_lag_seconds{job="catalyst-sre"})', '{{quantile}}']],
          {
            unit: 's',
          },
        ),
        course('Memory', [['max by (instance) (process_resident_memory_bytes{job="catalyst-sre"})', '{{instance}}']], {
          unit: 'bytes',
        }),
        course('Failed rounds an hour', [
          ['sum by (controller) (increase(catalyst_sre_reconcile_errors_total[1h]))', '{{controller}}'],
        ]),
      ],
    },
  ],
};
