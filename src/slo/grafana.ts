/** Dashboards and how Grafana finds them: classic file provisioning, which every version since 5 reads. */

import { writeYaml } from '../catalog/yaml-writer.ts';
import { type Dashboard, dashboardJson } from './dashboard.ts';
import { organizationDashboards } from './organization-dashboards.ts';
import { ownDashboard } from './own-dashboard.ts';
import { generatedBy, type RenderedText } from './prometheus-files.ts';
import { sovereignDashboards } from './sovereign-dashboards.ts';

export const dashboards: readonly Dashboard[] = [...sovereignDashboards, ...organizationDashboards, ownDashboard];

/** Where the files are mounted in Grafana's container. */
const mountedAt = '/etc/grafana/dashboards/catalyst-sre';

export function grafanaFiles(): RenderedText[] {
  const folders = [...new Set(dashboards.map(({ folder }) => folder))];
  const provisioning = {
    apiVersion: 1,
    providers: folders.map((folder) => ({
      name: `catalyst-sre-${folder.toLowerCase()}`,
      type: 'file',
      folder: `Catalyst ${folder}`,
      folderUid: `catalyst-sre-${folder.toLowerCase()}`,
      disableDeletion: true,
      allowUiUpdates: false,
      updateIntervalSeconds: 60,
      options: { path: `${mountedAt}/${folder.toLowerCase()}` },
    })),
  };
  return [
    ...dashboards.map((dashboard) => ({
      path: `grafana/dashboards/${dashboard.folder.toLowerCase()}/${dashboard.uid}.json`,
      text: `${JSON.stringify(dashboardJson(dashboard), null, 2)}\n`,
    })),
    {
      path: 'grafana/provisioning/dashboards/catalyst-sre.yaml',
      text: generatedBy('grafana') + writeYaml(provisioning),
    },
  ];
}
