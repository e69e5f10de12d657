/**
 * The lag signals of the components of handbook §2.5, as the standby's own Prometheus sees them, and what is peculiar to
 * each. Expressions give seconds; where a component has no seconds, a canary that is written every 5 s on the active and
 * read on the standby gives its age.
 */
import type { ComponentAdapter } from '../../catalog/kinds/failover-group.ts';

export interface Signal {
  /** Largest lag the handbook has in mind, seconds: near-zero, seconds, minutes. */
  rpoSeconds: number;
  /** PromQL, seconds. `{selector}` stands for the matchers of the component; undefined where the adapter itself looks. */
  query: string | undefined;
  /** PromQL that has to give 1 for `query` to be believed at all. */
  believe?: string;
  /** What its taking over means, for plans. */
  note: string;
  /** What a person has to do for it where the controller cannot (`api` is not set, or there is none); the plan waits. */
  byHand?: string;
}

/** Near-zero: WAL is streamed, and two lost seconds are noticed by nobody but an auditor. */
const nearZero = 5;
/** "Seconds" and "Minutes" of handbook §2.5, at the upper end of the word. */
const seconds = 30;
const minutes = 300;

const canary = (name: string) => `max(time() - failover_canary_timestamp_seconds{component="${name}"})`;

/** Without Gitea: it is refused, with the reason below. */
export const signals: Readonly<Record<Exclude<ComponentAdapter, 'Gitea'>, Signal>> = {
  CloudNativePG: {
    rpoSeconds: nearZero,
    query: 'max(cnpg_pg_replication_lag{selector})',
    // The exporter says 0 for a standby that is cut off, because all it received it has replayed.
    believe: 'min(cnpg_pg_replication_is_wal_receiver_up{selector})',
    note: 'promoted by token without loss when planned; otherwise the old region has to be cloned again',
  },
  FerretDB: {
    rpoSeconds: nearZero,
    query: 'max(cnpg_pg_replication_lag{selector})',
    believe: 'min(cnpg_pg_replication_is_wal_receiver_up{selector})',
    note: 'promoted with the PostgreSQL cluster under it; its own pods are behind the gate',
  },
  Strimzi: {
    rpoSeconds: seconds,
    // Record latency moves only while records flow; the heartbeats of MirrorMaker 2 always do.
    query: 'max(kafka_connect_mirror_mirrorsourceconnector_replication_latency_ms_max{topic=~".*heartbeats"}) / 1000',
    believe: 'min(kafka_connect_connector_status{status="running"})',
    note: 'the mirror into this region is stopped; records may be seen twice, and failback means rebuilding the old cluster',
  },
  Valkey: {
    rpoSeconds: seconds,
    query: undefined,
    note: 'planned without loss by FAILOVER; unplanned by REPLICAOF NO ONE, and the old region is overwritten when it follows again',
  },
  ClickHouse: {
    rpoSeconds: seconds,
    query: 'max(ClickHouseAsyncMetrics_ReplicasMaxAbsoluteDelay)',
    believe: 'min(1 - clamp_max(ClickHouseMetrics_ReadonlyReplica, 1))',
    note: 'nothing to promote while Keeper has its quorum; a Keeper stretched over both regions is against §2.2',
  },
  OpenSearch: {
    rpoSeconds: seconds,
    query: canary('opensearch'),
    note: 'rules are deleted and followers stopped index by index, which cannot be taken back',
    byHand:
      'on the cluster of this region delete every auto-follow rule (DELETE /_plugins/_replication/_autofollow), then stop every follower (POST /_plugins/_replication/INDEX/_stop)',
  },
  Milvus: {
    rpoSeconds: minutes,
    query:
      'max(clamp_min(max by (channel_name)(milvus_wal_last_confirmed_time_tick) - min by (channel_name)(milvus_cdc_last_replicated_time_tick), 0))',
    note: 'switched by update_replicate_configuration on both, forced on the standby when the active is lost',
    // A gRPC call of its SDKs; the HTTP API has none for it.
    byHand:
      'call update_replicate_configuration with this region as the source of cross_cluster_topology: on both clusters when both are up, and on that of this region alone with force_promote=True when the other is lost',
  },
  Neo4j: {
    rpoSeconds: seconds,
    query: canary('neo4j'),
    note: 'recreated from a secondary by a person; a cluster stretched over both regions is against §2.2',
    byHand:
      'see that each database has a writer here (SHOW DATABASES); recreate those that have none with dbms.recreateDatabase',
  },
  MinIO: {
    rpoSeconds: minutes,
    query: canary('minio'),
    believe: 'min(1 - clamp_max(minio_bucket_replication_last_minute_failed_count, 1))',
    note: 'buckets are active on both sides; only the gate moves',
  },
  Harbor: {
    rpoSeconds: minutes,
    query: canary('harbor'),
    note: 'replicated by policy: rules that pull from the other region are switched off',
  },
};

/** Why Gitea is no target (handbook §2.5). */
export const giteaRefusal =
  'Gitea is not mirrored across regions (handbook §2.5): it recovers with its management cluster, by intra-cluster replicas and CNPG. Leave it out of the group and use the recovery of the management cluster.';
