/** The page about metrics: what has to be instrumented, and what exporters have. Pure. */
import type { Exporter } from '../catalog/kinds/exporter.ts';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** @param exporters ordered by name */
export function instrumentationPage(exporters: readonly Exporter[]): string {
  const contracts = exporters.filter(({ spec }) => spec.contract);
  const others = exporters.filter(({ spec }) => !spec.contract);
  return `# Instrumentation

What the objectives and alerts of the handbook are made of. A Sovereign that lacks one of these metrics has alerts that
cannot fire; \`SLODataMissing\` says so for objectives.

## Contracts
No exporter has these metrics. Whoever builds the program named emits them, with these names, units, labels and buckets.

${contracts.map(contractText).join('\n')}
## Exporters
These come with the programs, some only when switched on.

${others.map(exporterText).join('\n')}`;
}

function contractText(exporter: Exporter): string {
  const { contract, description } = exporter.spec;
  return `### ${exporter.metadata.name}
${description}

Emitted by: ${contract?.emittedBy}. ${contract?.measured}

${metricTable(exporter)}`;
}

function exporterText(exporter: Exporter): string {
  const { description, source } = exporter.spec;
  return `### ${exporter.metadata.name}
${description}${source === undefined ? '' : ` Source: ${source}.`}

${metricTable(exporter)}`;
}

function metricTable({ spec }: Exporter): string {
  const rows = spec.metrics.map(({ name, type, unit = 'none', labels = [], buckets, help }) => {
    const bounds = buckets ? ` Buckets: ${buckets.join(', ')}.` : '';
    return `| \`${name}\` | ${type} | ${unit} | ${labels.map((label) => `\`${label}\``).join(' ') || 'none'} | ${cell(help)}${bounds} |`;
  });
  return `| Name | Type | Unit | Labels of its own | What it says |
|---|---|---|---|---|
${rows.join('\n')}
`;
}
