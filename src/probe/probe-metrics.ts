/** What was found as Prometheus text, under the names of blackbox_exporter. Pure. */
import type { Result } from './prober.ts';

interface Family {
  name: string;
  help: string;
  value(result: Result): number | undefined;
}

const families: readonly Family[] = [
  {
    name: 'probe_success',
    help: '1 when the target answered as it should.',
    value: ({ finding }) => (finding.success ? 1 : 0),
  },
  { name: 'probe_duration_seconds', help: 'How long the probe took.', value: ({ took }) => took },
  { name: 'probe_http_status_code', help: 'Status of the last answer.', value: ({ finding }) => finding.status },
  { name: 'probe_http_redirects', help: 'Redirects that were followed.', value: ({ finding }) => finding.redirects },
  {
    name: 'probe_ssl_earliest_cert_expiry',
    help: 'When the first certificate of the chain expires, seconds since 1970.',
    value: ({ finding }) => finding.earliestExpiry,
  },
  { name: 'probe_dns_answer_rrs', help: 'Records of the DNS answer.', value: ({ finding }) => finding.records },
];

export function probeMetrics(results: readonly Result[]): string {
  const lines = families.flatMap(({ name, help, value }) => {
    const samples = results.flatMap((result) => {
      const number = value(result);
      return number === undefined ? [] : [`${name}${labelsOf(result)} ${number}`];
    });
    return samples.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...samples];
  });
  return lines.map((line) => `${line}\n`).join('');
}

function labelsOf({ target: { job, name, labels } }: Result): string {
  const pairs = Object.entries({ job, target: name, ...labels }).map(([key, value]) => `${key}="${escaped(value)}"`);
  return `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
