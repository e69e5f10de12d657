/** The catalog of the configured sources, with what the engine and the incidents want of it. */
import { join } from 'node:path';
import { type Catalog, createCatalog } from '../catalog/catalog.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { clusterKinds } from '../catalog/crd.ts';
import { type Loaded, loadDocuments } from '../catalog/document.ts';
import { parseDuration } from '../catalog/duration.ts';
import { compileRecognition } from '../catalog/incident-type-compile.ts';
import { businessCalendarKind } from '../catalog/kinds/business-calendar.ts';
import { type IncidentType, incidentTypeKind } from '../catalog/kinds/incident-type.ts';
import type { Runbook } from '../catalog/kinds/runbook.ts';
import { parseMatcher } from '../catalog/matcher.ts';
import { compileRunbook } from '../catalog/runbook-compile.ts';
import { type CatalogSource, precedences } from '../catalog/source.ts';
import { createClusterSource } from '../catalog/sources/cluster.ts';
import { createFolderSource } from '../catalog/sources/folder.ts';
import { createGitSource } from '../catalog/sources/git.ts';
import type { Language } from '../check/check.ts';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import { type IncidentTypes, incidentTypesOf } from '../incident/incident-types.ts';
import type { Kubernetes } from '../integrations/kubernetes/index.ts';
import type { Secrets } from '../integrations/secrets.ts';
import { refuseSlos } from '../slo/documents.ts';
import type { Config } from './config.ts';
import { handbookDirectory } from './document-files.ts';
import type { Environment } from './options.ts';
import { organizationOfLabels } from './policy.ts';

export interface CatalogPorts {
  config: Config;
  language: Language;
  kubernetes: Kubernetes;
  secrets: Secrets;
  clock: Clock;
  environment: Environment;
  onError(controller: string, error: unknown): void;
}

export interface OpenCatalog extends Catalog {
  /** Types of incidents as they stand now. */
  types: IncidentTypes;
  /** Compiles the document a run started with. @throws CatalystError InvalidResource */
  compile(document: Runbook): CompiledRunbook;
}

/** Reads the sources and goes on watching them. */
export async function openCatalog(ports: CatalogPorts): Promise<OpenCatalog> {
  const { language, clock, onError } = ports;
  const catalog = createCatalog({
    sources: sourcesOf(ports),
    load: (text, origin) => refuseSlos(checkedTypes(loadDocuments(text, origin), language)),
    compile: (resource) => compileRunbook(resource, language),
    clock,
    onError,
  });
  await catalog.start();
  const typesNow = () =>
    incidentTypesOf(catalog.incidentTypes(), parseMatcher, undefined, catalog.resources(businessCalendarKind));
  let types = typesNow();
  catalog.onChange(() => {
    types = typesNow();
  });
  return Object.assign(catalog, {
    types: {
      forAlert: (labels, organization) => types.forAlert(labels, organization),
      calendarFor: (organization) => types.calendarFor(organization),
      get causes() {
        return types.causes;
      },
    } satisfies IncidentTypes,
    compile: cached((document) => recompile(document, language)),
  });
}

/** An IncidentType whose checks are wrong does not count; its last good version goes on. */
function checkedTypes(loaded: Loaded, language: Language): Loaded {
  for (const [resource, positions] of loaded.positions)
    if (resource.kind === incidentTypeKind.kind)
      loaded.problems.push(...compileRecognition(resource as IncidentType, language, positions).problems);
  return loaded;
}

function sourcesOf(ports: CatalogPorts): CatalogSource[] {
  const { config, clock } = ports;
  const handbook = createFolderSource({
    path: handbookDirectory,
    name: 'handbook',
    precedence: precedences.handbook,
    watch: false,
    clock,
  });
  return [handbook, ...config.catalog.sources.flatMap((source) => sourcesFrom(source, ports))];
}

type ConfiguredSource = Config['catalog']['sources'][number];

function sourcesFrom({ folder, git, cluster }: ConfiguredSource, ports: CatalogPorts): CatalogSource[] {
  const { config, clock, environment, secrets, kubernetes, onError } = ports;
  if (folder !== undefined) return [createFolderSource({ path: folder, clock })];
  if (git) {
    const { repository, ref, path, organization, tokenFile, interval } = git;
    return [
      createGitSource({
        repository,
        ref,
        path,
        clock,
        environment,
        intervalMs: parseDuration(interval) ?? 300_000,
        directory: join(config.dataDir, 'repositories'),
        ...(organization === undefined ? {} : { organization }),
        ...(tokenFile === undefined ? {} : { token: () => secrets.read({ file: tokenFile }) }),
      }),
    ];
  }
  if (!cluster) return [];
  const organizationOf = organizationOfLabels(config);
  return clusterKinds
    .filter(({ kind }) => cluster.kinds.includes(kind))
    .map((kind) =>
      createClusterSource({
        kind,
        objects: kubernetes.clusterSource(clock, kind, (sentence) => onError('cluster source', new Error(sentence))),
        clock,
        organizationOf: (namespace) => organizationOf({ namespace }),
        namespaces: cluster.namespaces,
        onError: (error) => onError('cluster source', error),
      }),
    );
}

function recompile(document: Runbook, language: Language): CompiledRunbook {
  const { runbook, problems } = compileRunbook(document, language);
  if (runbook) return runbook;
  const first = problems.find((problem) => problem.severity === 'error');
  throw new CatalystError(
    'InvalidResource',
    `The runbook ${document.metadata.name} cannot be run by this version: ${first?.sentence ?? ''}`,
  );
}

/** Compiled runbooks that are kept: the versions that runs under way started with, and room to spare. */
const keptRunbooks = 500;

function cached(compile: (document: Runbook) => CompiledRunbook): (document: Runbook) => CompiledRunbook {
  const kept = new Map<string, CompiledRunbook>();
  return (document) => {
    const { digest } = document.provenance;
    const known = kept.get(digest);
    if (known) return known;
    const compiled = compile(document);
    kept.set(digest, compiled);
    const oldest = kept.keys().next().value;
    if (kept.size > keptRunbooks && oldest !== undefined) kept.delete(oldest);
    return compiled;
  };
}
