/**
 * Grafana dashboards in the classic JSON model (schema version 39, Grafana 10 and newer), from a short description: rows
 * of panels, each a query or a few. Identifiers follow from the text, so the same description gives the same bytes.
 */

export interface Panel {
  title: string;
  type: 'stat' | 'timeseries' | 'table' | 'bargauge';
  description?: string;
  /** PromQL with the legend of its series; `$__rate_interval` and variables of the dashboard may stand in it. */
  queries: readonly { expr: string; legend?: string }[];
  /** A unit of Grafana: `percentunit`, `s`, `bytes`. */
  unit?: string;
  /** Where the colour changes, lowest first: `[0.9, 'yellow']`. */
  thresholds?: readonly (readonly [number, string])[];
  /** Colour below the first threshold. Default green. */
  base?: string;
  /** Columns of 24. Default 8, of a table 24. */
  width?: number;
}

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  folder: 'Sovereign' | 'Organization';
  /** Variables by name: a query that lists their values. */
  variables: Readonly<Record<string, string>>;
  rows: readonly { title: string; panels: readonly Panel[] }[];
}

/** Every panel asks the data source chosen at the top. */
const datasource = { type: 'prometheus', uid: '${datasource}' };
const columns = 24;
const panelHeight = 8;

export function dashboardJson(dashboard: Dashboard): object {
  const { uid, title, description, variables, rows } = dashboard;
  return {
    uid,
    title,
    description,
    tags: ['catalyst-sre', dashboard.folder.toLowerCase()],
    schemaVersion: 39,
    version: 1,
    editable: false,
    graphTooltip: 1,
    timezone: 'browser',
    refresh: '1m',
    time: { from: 'now-24h', to: 'now' },
    timepicker: {},
    annotations: { list: [firingAlerts] },
    links: [],
    templating: { list: [chooseSource, ...Object.entries(variables).map(variableJson)] },
    panels: layout(rows),
  };
}

/** Marks of alerts, so that a change in a curve has its alert beside it. */
const firingAlerts = {
  name: 'Alerts',
  enable: true,
  hide: false,
  iconColor: 'red',
  datasource,
  expr: 'max by (alertname) (ALERTS{alertstate="firing",severity="critical"})',
  titleFormat: '{{alertname}}',
  step: '60s',
};

const chooseSource = {
  name: 'datasource',
  label: 'Data source',
  type: 'datasource',
  query: 'prometheus',
  hide: 0,
  includeAll: false,
  multi: false,
  options: [],
  refresh: 1,
  regex: '',
  skipUrlSync: false,
};

function variableJson([name, query]: [string, string]): object {
  return {
    name,
    label: name.charAt(0).toUpperCase() + name.slice(1),
    type: 'query',
    datasource,
    definition: query,
    query: { query, refId: name },
    hide: 0,
    includeAll: true,
    allValue: '.*',
    multi: true,
    options: [],
    // When the range of time changes: what there was differs.
    refresh: 2,
    regex: '',
    skipUrlSync: false,
    sort: 1,
  };
}

function layout(rows: Dashboard['rows']): object[] {
  const placed: object[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    placed.push({
      id: placed.length + 1,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: columns, h: 1 },
    });
    y += 1;
    let x = 0;
    for (const panel of panels) {
      const w = panel.width ?? (panel.type === 'table' ? columns : 8);
      if (x + w > columns) {
        x = 0;
        y += panelHeight;
      }
      placed.push(panelJson(panel, placed.length + 1, { x, y, w, h: panelHeight }));
      x += w;
    }
    y += panelHeight;
  }
  return placed;
}

function panelJson(panel: Panel, id: number, gridPos: object): object {
  const { title, type, description = '', queries } = panel;
  return {
    id,
    type,
    title,
    description,
    datasource,
    gridPos,
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + i),
      datasource,
      expr,
      legendFormat: legend ?? '__auto',
      editorMode: 'code',
      // What stands now, for panels that show no course of time.
      ...(type === 'timeseries' ? { range: true } : { instant: true, range: false }),
      ...(type === 'table' ? { format: 'table' } : {}),
    })),
    fieldConfig: { defaults: fieldDefaults(panel), overrides: [] },
    options: options[type],
    ...(type === 'table' ? { transformations: [hideTime] } : {}),
  };
}

function fieldDefaults({ unit = 'none', thresholds = [], base = 'green', type }: Panel): object {
  return {
    unit,
    color: { mode: type === 'timeseries' ? 'palette-classic' : 'thresholds' },
    thresholds: {
      mode: 'absolute',
      steps: [{ color: base, value: null }, ...thresholds.map(([value, color]) => ({ color, value }))],
    },
    mappings: [],
    custom: type === 'timeseries' ? { lineWidth: 1, fillOpacity: 10, showPoints: 'never', spanNulls: false } : {},
  };
}

const hideTime = { id: 'organize', options: { excludeByName: { Time: true, __name__: true } } };
const lastValue = { calcs: ['lastNotNull'], fields: '', values: false };
const options: Readonly<Record<Panel['type'], object>> = {
  stat: { reduceOptions: lastValue, colorMode: 'background', graphMode: 'none', textMode: 'auto', orientation: 'auto' },
  bargauge: { reduceOptions: lastValue, displayMode: 'basic', orientation: 'horizontal' },
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom', calcs: [] },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  table: { showHeader: true, cellHeight: 'sm' },
};
