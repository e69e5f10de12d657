/** Alerts of a usual size, and the two forms they travel in. */
import { fingerprintOf } from '../../src/alert/fingerprint.ts';

/** Number `index` of a series of alerts: what kube-prometheus says of a pod, some 600 bytes as JSON. */
export function alert(index: number, labels: Record<string, string> = {}) {
  return {
    status: 'firing',
    labels: {
      alertname: 'KubePodNotReady',
      severity: 'warning',
      cluster: 'hz-fsn-rtz-prod',
      namespace: `shop-${index % 10}`,
      pod: `shop-7d9c5b6f4-${index}`,
      ...labels,
    },
    annotations: {
      summary: `Pod shop-${index} has been in a non-ready state for longer than 15 minutes`,
      runbook_url: 'https://runbooks.example/kube-pod-not-ready',
    },
    startsAt: new Date(firstStart + index).toISOString(),
    endsAt: '0001-01-01T00:00:00Z',
    generatorURL:
      'http://prometheus:9090/graph?g0.expr=container_memory_working_set_bytes+%2F+container_spec_memory_limit_bytes+%3E+0.9',
  };
}
export type BenchAlert = ReturnType<typeof alert>;

/** All alerts began shortly before this process: Alertmanager drops none as old. */
const firstStart = Date.now() - 60_000;

/** As Alertmanager's webhook delivers them. */
export function webhookBody(alerts: readonly BenchAlert[]): string {
  return JSON.stringify({
    version: '4',
    groupKey: '{}:{}',
    status: 'firing',
    receiver: 'catalyst',
    groupLabels: {},
    commonLabels: {},
    commonAnnotations: {},
    externalURL: 'http://alertmanager:9093',
    truncatedAlerts: 0,
    alerts: alerts.map((one) => ({ ...one, fingerprint: fingerprintOf(one.labels) })),
  });
}

/** As Prometheus posts them to Alertmanager. */
export function alertmanagerBody(alerts: readonly BenchAlert[]): string {
  return JSON.stringify(
    alerts.map(({ labels, annotations, startsAt, generatorURL }) => ({ labels, annotations, startsAt, generatorURL })),
  );
}
