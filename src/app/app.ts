/**
 * The composition root: everything the control plane is made of, in the order in which it depends on one another. It is
 * one straight line on purpose; whoever wants to know what is wired to what reads it from top to bottom.
 */
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { forgetDeliveries } from '../alert/delivery-store.ts';
import { createIntake } from '../alert/intake.ts';
import { createApi } from '../api/api.ts';
import { createDatabasePorts, createWakeup } from '../api/database-ports.ts';
import { purgeIdempotencyKeys } from '../api/idempotency-store.ts';
import type { Drills } from '../api/ports.ts';
import { purgeSessions } from '../api/session/session-store.ts';
import type { Sessions } from '../api/session/sessions.ts';
import { parseDuration } from '../catalog/duration.ts';
import { createLanguage } from '../check/language.ts';
import { type Clock, systemClock } from '../clock.ts';
import { isConnectionError, type OpenDatabase, openDatabase } from '../database/open.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { newId } from '../ids.ts';
import { escalateDue } from '../incident/escalation.ts';
import { checkDue } from '../incident/incident-check.ts';
import { createIncidentService } from '../incident/incident-service.ts';
import { recogniseDue, recognitionOracle } from '../incident/recognition.ts';
import { createIntegrations, type IntegrationsConfig } from '../integrations/all.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { deliverDue } from '../notify/notify.ts';
import { packageDirectory } from '../package-directory.ts';
import { createExplainer } from '../run/explain-service.ts';
import { workThroughDeliveries } from '../run/intake-round.ts';
import { commitAround, readContexts } from '../run/run-context.ts';
import { createEngine } from '../run/run-engine.ts';
import { createRunService } from '../run/run-service.ts';
import { startScheduledRuns } from '../run/scheduler.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { createMetrics } from '../telemetry/meter.ts';
import { createTracing } from '../telemetry/trace.ts';
import { openCatalog } from './catalog.ts';
import { createCatalogRecord } from './catalog-record.ts';
import { commandPorts } from './commands.ts';
import type { Config } from './config.ts';
import { escalationPorts } from './escalation.ts';
import { checkHealth } from './health.ts';
import { incidentTypeModel } from './incident-type-model.ts';
import { createLeftOutReader } from './left-out.ts';
import { createLifecycle } from './lifecycle.ts';
import { acknowledgeLinks, linkKeyReplacement, openLinkKeys, pageLinks } from './links.ts';
import { parseListen } from './listen.ts';
import { openLogin, readNotes } from './login.ts';
import { startLoop } from './loop.ts';
import { createObserver } from './observer.ts';
import { onCallModel } from './on-call.ts';
import type { Environment } from './options.ts';
import { pagesThrough, toWhoIsCalledFirst } from './paging.ts';
import { dispatchPorts, organizationOfLabels, policyOf } from './policy.ts';
import { readModels } from './read-models.ts';
import { recognisersOf } from './recognition.ts';
import { createRecordCheck } from './record-check.ts';
import { databaseLocation, readPushSecrets, readSecret, readTokens } from './secrets.ts';
import { sloModel } from './slo-live.ts';
import { worldOf } from './world.ts';

/** Where `tools/build.js` puts the console. */
const consoleDirectory = join(packageDirectory, 'console', 'dist');

/** Processed deliveries are kept for two weeks, to look at what an Alertmanager really sent; alerts and the record stay. */
const keepDeliveriesFor = 14 * 24 * 3_600_000;

/**
 * How long working through deliveries gives way to taking them in, ms, while they come in without a pause (200 a second and
 * more): what is not taken in is told again only later, what is taken in is not lost. A runbook that starts a second late in
 * such a storm is not felt beside the scrape and the `for` before its alert; a longer wait would be.
 */
const longestYield = 1_000;

/** Deliveries of one round: enough for a storm to be worked through in few commits. */
const roundLimit = { count: 2_000, bytes: 4 * 1024 * 1024 };
/**
 * The embedded database does one thing at a time, so that a delivery may have to wait for a round: some 15 ms, then. Twice as
 * many would be worked through 7 % faster, and answered twice as late (docs/benchmarks.md).
 */
const embeddedRoundLimit = { count: 50, bytes: 128 * 1024 };

export interface AppOptions {
  config: Config & { integrations?: IntegrationsConfig };
  environment: Environment;
  version: string;
  clock?: Clock;
  log?: Log;
  /** Tokens beside those of the configuration, e.g. the sandbox's own. */
  extraTokens?: Awaited<ReturnType<typeof readTokens>>;
  /** Links in pages lead to where it listens, where no publicUrl is set: for the sandbox, which is looked at on its machine. */
  linksToItself?: boolean;
  /** Lets drills be started; given the database once it is open. */
  drills?: (db: Database, committed: () => void) => Drills & { stop(): void };
}

export interface App {
  /** Where it listens: `http://127.0.0.1:8080`. */
  url: string;
  database: OpenDatabase;
  /** Of people with a browser; undefined where nobody can log in. */
  sessions: Sessions | undefined;
  stop(): Promise<void>;
}

/** Starts the whole product; resolves when it takes alerts. What was started is stopped again when a later part fails. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, environment, version } = options;
  const clock = options.clock ?? systemClock;
  const tracing = await createTracing({ version, ...(await tracesTo(config, environment)) });
  const log = options.log ?? createLog({ level: config.telemetry.logLevel, traceIds: () => tracing.ids() });
  const life = createLifecycle((name, error) =>
    log.error({ part: name, err: messageOf(error) }, 'a part did not stop cleanly'),
  );
  life.onStop('traces', () => tracing.stop());
  const metrics = createMetrics({ version });
  life.onStop('metrics', () => metrics.stop());
  const onError = (controller: string, error: unknown) => {
    const reason = error instanceof CatalystError ? error.code : isConnectionError(error) ? 'Unavailable' : 'Internal';
    metrics.count('reconcileErrors', { controller, reason });
    log.warn({ controller, reason, err: messageOf(error) }, 'a round ended in an error and is tried again');
  };
  const makeId = () => newId(clock.now());

  try {
    await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
    const database = await openDatabase(await databaseLocation(config, environment));
    life.onStop('database', () => database.close());
    const { db } = database;

    const secrets = createSecrets(environment);
    const integrations = createIntegrations(config.integrations ?? {}, { secrets, clock });
    life.onStop('integrations', () => integrations.stop());
    const systems = worldOf(integrations.all);
    const world = { ...systems, ...recognitionOracle(db, systems) };
    const language = createLanguage(world.vocabulary);

    const catalog = await openCatalog({
      config,
      language,
      kubernetes: integrations.kubernetes,
      secrets,
      clock,
      environment,
      onError,
    });
    life.onStop('catalog', () => catalog.stop());

    const { pager } = integrations.notify;
    const reach = (person: string) => pager?.receiversOf(person) ?? [];
    const escalation = escalationPorts({ db, clock, catalog, reach });
    const keys = await openLinkKeys(config, { db, clock, environment });
    let itself: string | undefined;
    const publicUrl = () => config.publicUrl ?? (options.linksToItself ? itself : undefined);
    const deliver = pagesThrough(pager, pageLinks(keys, publicUrl));
    const createPage = toWhoIsCalledFirst(escalation);

    const recognisers = recognisersOf(catalog, language, world);
    const wakeup = createWakeup();
    const policy = policyOf(config);
    const observer = createObserver({ metrics, log, tracing, clock, wakeup });
    const engine = createEngine(
      {
        db,
        clock,
        world,
        name: `${hostname()}/${process.pid}/${makeId()}`,
        newId: makeId,
        compile: catalog.compile,
        contexts: (runs, tx) => readContexts(tx ?? db, runs),
        onEntries: (tx, entries) => commitAround(tx, entries, createPage),
        observe: observer.entry,
        onError: (runId, error) => onError(runId === undefined ? 'engine' : 'run', error),
        confirmFiring: config.policy.confirmFiring ? 'Required' : 'WhenPossible',
        alone: database.kind !== 'postgres',
      },
      { concurrency: config.limits.concurrentRuns, claimFor: parseDuration(config.limits.takeOverAfter) ?? 30_000 },
    );
    const wakeBoth = () => {
      engine.wake();
      wakeup.wake();
    };
    const runs = createRunService({ db, clock, newId: makeId, catalog, wake: wakeBoth });
    const incidents = createIncidentService({
      db,
      clock,
      escalation,
      types: catalog.types,
      committed: () => wakeup.wake(),
    });
    const dispatching = dispatchPorts(catalog, policy, makeId);
    const organizationOf = organizationOfLabels(config);
    const confirmFiring = config.policy.confirmFiring ? 'Required' : 'WhenPossible';
    const explainer = createExplainer({ db, clock, world, catalog, organizationOf, confirmFiring, ...dispatching });

    const intakeRound = {
      db,
      limit: database.kind === 'postgres' ? roundLimit : embeddedRoundLimit,
      types: catalog.types,
      organizationOf,
      ...dispatching,
    };
    // The embedded database does one thing at a time; PostgreSQL has a connection for each of two commits.
    const commits = database.kind === 'postgres' ? 2 : 1;
    const intake = createIntake({
      db: database.intake,
      clock,
      limits: { bodyBytes: config.limits.deliveryBytes, commits },
    });
    const readLeftOut = createLeftOutReader({ alertmanager: integrations.alertmanager, intake, clock, onError });
    const processing = startLoop({
      name: 'deliveries',
      // Another replica may have taken a delivery in; ours wake the loop at once.
      every: 500,
      clock,
      onError,
      round: async () => {
        const round = await intake.whenQuiet(longestYield, () => workThroughDeliveries(intakeRound, clock.now()));
        observer.intake(round);
        readLeftOut(round.leftOut);
        if (round.runs > 0) engine.wake();
        return round.more;
      },
    });
    life.onStop('deliveries', () => processing.stop());
    life.onStop('intake', () => intake.stop());

    await engine.start();
    life.onStop('engine', () => engine.stop());

    const everyLoop = { clock, onError };
    const loops = [
      startLoop({
        ...everyLoop,
        name: 'pages',
        every: 1_000,
        round: async () => {
          const { delivered, retried, failed } = await deliverDue({ db, clock, deliver });
          observer.pages({ delivered, retried, failed });
          return delivered + retried + failed > 0;
        },
      }),
      // Schedules name minutes, so that a third of one is soon enough.
      startLoop({
        ...everyLoop,
        name: 'schedules',
        every: 20_000,
        round: async () => {
          const started = await startScheduledRuns({ db, clock, newId: makeId, policy, runbooks: () => catalog.all() });
          if (started > 0) engine.wake();
          return false;
        },
      }),
      startLoop({
        ...everyLoop,
        name: 'escalations',
        every: 1_000,
        round: async () => {
          const looked = await escalateDue(escalation);
          if (looked > 0) wakeup.wake();
          return looked > 0;
        },
      }),
      startLoop({
        ...everyLoop,
        name: 'incidents',
        every: 5_000,
        round: async () => {
          const checked = await checkDue({ db, clock, oracle: world, types: catalog.types });
          if (checked.length > 0) wakeup.wake();
          return checked.length > 0;
        },
      }),
      startLoop({
        ...everyLoop,
        name: 'recognition',
        every: 1_000,
        round: async () => {
          const { looked, told } = await recogniseDue({ db, clock, recognisers });
          if (told > 0) processing.wake();
          return looked > 0;
        },
      }),
      startLoop({
        ...everyLoop,
        name: 'housekeeping',
        every: 3_600_000,
        round: async () => {
          await purgeIdempotencyKeys(db, clock.now());
          await purgeSessions(db, clock.now());
          await forgetDeliveries(db, { receivedBefore: clock.now() - keepDeliveriesFor, limit: 10_000 });
          await database.tidy();
          return false;
        },
      }),
    ];
    const recordCatalog = createCatalogRecord({ db, clock, catalog });
    const catalogNews = startLoop({
      ...everyLoop,
      name: 'catalog record',
      every: 60_000,
      round: async () => {
        if (await recordCatalog()) wakeup.wake();
        return false;
      },
    });
    catalog.onChange(() => catalogNews.wake());
    loops.push(catalogNews);
    const recordCheck = createRecordCheck(db, clock, log);
    loops.push(startLoop({ ...everyLoop, name: 'record', every: 3_600_000, round: recordCheck.round }));
    for (const loop of loops) life.onStop('background loop', () => loop.stop());
    life.onStop('record check', () => recordCheck.stop());

    const paging = pager && { reach, publicUrl };
    const healthPorts = { database, integrations: integrations.all, catalog, clock, paging };
    const drills = options.drills?.(db, () => wakeup.wake());
    if (drills) life.onStop('drills', () => drills.stop());
    const tokens = [...(await readTokens(config, environment)), ...(options.extraTokens ?? [])];
    const login = await openLogin(config, { db, clock, log, environment });
    const api = await createApi(
      {
        ...createDatabasePorts(database, clock),
        ...readModels({ db, clock, catalog }),
        incidentTypes: incidentTypeModel(catalog),
        slos: sloModel({
          catalog,
          prometheus: integrations.prometheus,
          clock,
          organizationOf: organizationOfLabels(config),
        }),
        onCall: onCallModel({ catalog, clock, keys }),
        intake: {
          accept: async (delivery) => {
            await intake.accept(delivery);
            processing.wake();
          },
        },
        ...commandPorts(runs, incidents, explainer),
        acknowledgeLinks: acknowledgeLinks({ db, clock, keys, incidents }),
        replaceLinkKey: linkKeyReplacement(config, { db, clock }),
        ...(drills ? { drills } : {}),
        catalog,
        wakeup,
        health: {
          check: () => checkHealth(healthPorts),
        },
      },
      {
        version,
        tokens: () => tokens,
        hooks: { deliveryBytes: config.limits.deliveryBytes, pushSecrets: await readPushSecrets(config, environment) },
        clock,
        log,
        metrics,
        tracing,
        metricsNeedToken: config.telemetry.metricsNeedToken,
        maxConnections: config.limits.connections,
        requestsPerMinute: config.limits.requestsPerMinute,
        noteRead: readNotes(db, clock),
        consoleDirectory,
        ...(login ? { login } : {}),
      },
    );
    life.onStop('http', () => api.close());
    observer.gauges(db, catalog, recordCheck);
    const url = await listen(api, config.listen);
    itself = url;
    log.info({ url, version, database: database.kind, runbooks: catalog.all().length }, 'ready');
    return { url, database, sessions: login?.sessions, stop: () => life.stop() };
  } catch (error) {
    await life.stop();
    throw error;
  }
}

async function tracesTo({ telemetry }: Config, environment: Environment) {
  const { otlp } = telemetry;
  if (!otlp) return {};
  const { url: otlpUrl, tokenFile, ratio } = otlp;
  if (tokenFile === undefined) return { otlpUrl, ratio };
  const token = await readSecret('Token of the trace collector', { file: tokenFile }, environment);
  return { otlpUrl, ratio, otlpHeaders: { authorization: `Bearer ${token}` } };
}

async function listen(api: Awaited<ReturnType<typeof createApi>>, address: string): Promise<string> {
  try {
    return await api.listen(parseListen(address));
  } catch (error) {
    if (error instanceof CatalystError) throw error;
    throw new CatalystError('Conflict', `Nothing can listen at ${address}: ${messageOf(error)}`, {
      cause: error,
      hint: 'Give another address with --listen, or stop what uses this one.',
    });
  }
}
