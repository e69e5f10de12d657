/**
 * The FailoverGroup: what moves together when a region is lost, who may decide so, and within which limits (handbook §2.4).
 * What a schema cannot say (the inequalities between the times) is said when the controller reads the group.
 */
import Type, { type Static } from 'typebox';
import type { Kind } from '../resource.ts';

const Strict = { additionalProperties: false } as const;
const maybe = Type.Optional;

/** Optional everywhere: the defaults depend on each other and stand in one place, `failover/parameters.ts`. */
const Duration = (description: string, example: string) =>
  maybe(Type.String({ description, pattern: '^([0-9]+(ms|s|m|h|d))+$', maxLength: 32, examples: [example] }));

/** A DNS label: regions are labels of names in the probe zone, and holders of leases. */
const label = '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$';
const Region = (description: string, example: string) =>
  Type.String({ description, pattern: label, examples: [example] });
const Name = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253, examples: [example] });

const Words = <const T extends readonly string[]>(values: T, description: string) =>
  Type.Unsafe<T[number]>(Type.String({ enum: [...values], description }));

/** Handbook §2.4: automatic, semi-automatic, manual (regulated tier). */
const failoverModes = ['Automatic', 'SemiAutomatic', 'Manual'] as const;

const dnsFallbacks = ['hold', 'veto', 'continue-stateless', 'continue', 'promote'] as const;

/** The state-bearing components of handbook §2.5 that can be a target; Gitea is refused with the handbook's reason. */
export const componentAdapters = [
  ...(['CloudNativePG', 'FerretDB', 'Strimzi', 'Valkey', 'ClickHouse', 'OpenSearch'] as const),
  ...(['Milvus', 'Neo4j', 'MinIO', 'Harbor', 'Gitea'] as const),
] as const;
export type ComponentAdapter = (typeof componentAdapters)[number];

const ObjectName = (what: string) => ({
  namespace: Name(`Namespace of ${what}, the same in both regions.`, 'acme-prod'),
  name: Name(`Name of ${what}, the same in both regions.`, 'orders'),
});

const Timings = Type.Object(
  {
    ttl: Duration('T: how long a renewal counts. Default 30s (handbook §2.4).', '30s'),
    renew: Duration('R: time between renewals. Default 10s (handbook §2.4).', '10s'),
    retry: Duration('Time between tries of a renewal that failed. Default 2s.', '2s'),
    softLimit: Duration(
      'L_soft: the active begins to fence itself so long after its last acknowledged renewal.',
      '18s',
    ),
    hardLimit: Duration('L_hard: every gate is shut so long after it, controller or not.', '26s'),
    fenceBudget: Duration('F: how long fencing may take. Default 8s.', '8s'),
    wait: Duration('T_wait: how long a standby must see no renewal. At least ttl. Default 30s.', '30s'),
    promise: Duration('P: how long a peer promises not to take over. Default 30s.', '30s'),
    poll: Duration('How often a standby reads the lease. Default 2s.', '2s'),
    clockRateError: maybe(
      Type.Number({
        description: 'eps: how much a clock may run fast or slow, as a fraction. Default 0.05.',
        minimum: 0,
        maximum: 0.5,
      }),
    ),
  },
  { ...Strict, description: 'The times of the lease protocol; a group that breaks their inequalities is refused.' },
);

const External = Type.Object(
  {
    hosts: maybe(
      Type.Array(Name('A host name of the global zone.', 'orders.acme.example'), {
        description: 'Host names that follow the active region.',
        maxItems: 64,
      }),
    ),
    httpRoutes: maybe(
      Type.Array(Type.Object(ObjectName('the HTTPRoute'), Strict), {
        description:
          'Routes that get the rule /.well-known/catalyst-gate, so that k8gb publishes their hosts only while the gate is open.',
        maxItems: 64,
      }),
    ),
    gateService: maybe(
      Type.Object(
        {
          ...ObjectName('the gate Service'),
          port: Type.Integer({ description: 'Its port.', minimum: 1, maximum: 65535, examples: [8090] }),
        },
        { ...Strict, description: 'The Service whose pods are ready only under a valid lease (`catalyst-sre gate`).' },
      ),
    ),
    dnsTtlSeconds: maybe(
      Type.Integer({ description: 'TTL of the published records. Default 5.', minimum: 1, maximum: 30 }),
    ),
  },
  { ...Strict, description: 'External traffic: Gateway API and DNS. Each gate is live; what is stored opens nothing.' },
);

const Internal = Type.Object(
  {
    services: maybe(
      Type.Array(Type.Object(ObjectName('the global Service'), Strict), {
        description: 'Global Services of the Cilium Cluster Mesh whose backends follow the active region.',
        maxItems: 128,
      }),
    ),
    endpoints: maybe(
      Type.Array(
        Type.Object(
          {
            ...ObjectName('the Service without a selector'),
            addresses: Type.Array(Type.String({ minLength: 2, maxLength: 45, examples: ['10.1.0.17'] }), {
              description: 'Addresses of this region that the Service points at while the region is active.',
              minItems: 1,
              maxItems: 64,
            }),
            port: Type.Integer({ description: 'Port of the addresses.', minimum: 1, maximum: 65535 }),
          },
          {
            ...Strict,
            description: 'An EndpointSlice that is filled while this region is active, and empty otherwise.',
          },
        ),
        { description: 'EndpointSlices kept by the controller, for what no mesh moves.', maxItems: 32 },
      ),
    ),
  },
  { ...Strict, description: 'Internal traffic: what the other cluster may send to the workloads of this one.' },
);

const Component = Type.Object(
  {
    name: Name('Name of the component in this group.', 'orders-db'),
    adapter: Words(componentAdapters, 'What it is (handbook §2.5).'),
    rpo: Duration(
      'Most data that may be missing when it is taken over, as time. Default by adapter (handbook §2.5).',
      '5s',
    ),
    order: maybe(
      Type.Integer({
        description: 'Promoted in this order; equal ones together. Default 0.',
        minimum: 0,
        maximum: 100,
      }),
    ),
    cluster: maybe(
      Type.Object(ObjectName('the custom resource'), {
        ...Strict,
        description:
          'CloudNativePG and FerretDB: the Cluster. Strimzi: the KafkaMirrorMaker2 that mirrors into this region.',
      }),
    ),
    address: maybe(
      Type.Record(
        Type.String({ pattern: label }),
        Type.String({ minLength: 3, maxLength: 255, examples: ['orders-valkey.hz-fsn.example:6379'] }),
        {
          description: 'Valkey: HOST:PORT of the server, by region, as the other region reaches it.',
          maxProperties: 2,
        },
      ),
    ),
    api: maybe(
      Type.Record(
        Type.String({ pattern: label }),
        Type.String({ pattern: '^https?://', maxLength: 2048, examples: ['https://opensearch.hz-fsn.example:9200'] }),
        {
          description:
            'ClickHouse, OpenSearch, Neo4j, MinIO, Harbor: base URL of the HTTP API, by region. Each controller asks that of its own region.',
          maxProperties: 2,
        },
      ),
    ),
    leaderAlias: maybe(
      Type.String({
        description: 'OpenSearch: name of the connection to the other region, the same in both.',
        minLength: 1,
        maxLength: 255,
        examples: ['other-region'],
      }),
    ),
    lag: maybe(
      Type.String({
        description: 'PromQL for the lag in seconds, in place of the one built in for the adapter.',
        minLength: 1,
        maxLength: 4096,
        examples: ['max(harbor_canary_age_seconds{policy="to-hel"})'],
      }),
    ),
  },
  { ...Strict, description: 'A state-bearing component that moves with the group.' },
);

export const FailoverGroupSpec = Type.Object(
  {
    mode: maybe(
      Words(
        failoverModes,
        'Automatic takes over when every gate passes; SemiAutomatic (default) proposes and waits for one approval; Manual plans only, and needs two people, a typed reason and a ticket.',
      ),
    ),
    regions: Type.Array(Region('Cluster name of the region.', 'hz-fsn-rtz-prod'), {
      description: 'The two regions of the group. They are peers: none is the primary one.',
      minItems: 2,
      maxItems: 2,
    }),
    initialRegion: maybe(
      Region(
        'Where the group is active at the very first; afterwards the lease says where it is. Default: the first region.',
        'hz-fsn-rtz-prod',
      ),
    ),
    witnesses: Type.Array(Name('Name of a witness in the configuration of the controller.', 'worker'), {
      description: 'One witness, or a majority of three. The same in both regions.',
      minItems: 1,
      maxItems: 3,
    }),
    dnsFallback: maybe(
      Words(
        dnsFallbacks,
        'What the votes of the resolvers may do while neither witness nor peer can be reached. hold: nothing. veto: keep a standby from taking over. continue-stateless (default): the active keeps traffic and mesh open and fences what writes. continue: it keeps everything open. promote: the handbook to the letter, unsafe.',
      ),
    ),
    acknowledgeUnsafePromote: maybe(
      Type.String({
        description: 'Has to be "I accept two active regions" for dnsFallback promote.',
        maxLength: 128,
      }),
    ),
    timings: maybe(Timings),
    minimumDwell: Duration('No takeover so soon after the last one, a release aside. Default 15m.', '15m'),
    maximumTakeovers: maybe(
      Type.Integer({
        description: 'Unplanned takeovers within 24 h after which the group falls back to SemiAutomatic. Default 2.',
        minimum: 1,
        maximum: 100,
      }),
    ),
    external: maybe(External),
    internal: maybe(Internal),
    components: maybe(
      Type.Array(Component, { description: 'What holds state, and moves with the group.', maxItems: 64 }),
    ),
  },
  { ...Strict, description: 'A group of things that are active in exactly one of two regions.' },
);

export type FailoverGroupSpec = Static<typeof FailoverGroupSpec>;
export type FailoverComponent = NonNullable<FailoverGroupSpec['components']>[number];

/** What a group is in this region; the first word of a status. */
export const failoverPhases = [
  ...(['Refused', 'Starting', 'Standby', 'Proposed', 'Acquiring', 'Activating', 'Active'] as const),
  ...(['Stateless', 'SwitchingOver', 'Fencing'] as const),
] as const;

const GateWord = (layer: string) => Words(['open', 'shut'], `The gate of ${layer}.`);

/** What the controller of this region says of a group. It only writes this, and reads nothing back: no status opens a gate. */
export const FailoverGroupStatus = Type.Object(
  {
    phase: Words(failoverPhases, 'What the group is in this region.'),
    holder: maybe(Type.String({ description: 'Who holds the lease, as far as this region knows.', maxLength: 63 })),
    epoch: Type.Integer({ description: 'The newest epoch this region knows of.', minimum: 0 }),
    gates: Type.Object(
      { traffic: GateWord('traffic'), mesh: GateWord('the mesh'), stateful: GateWord('what writes') },
      { ...Strict, description: 'The gates as they were when this was written.' },
    ),
    components: Type.Array(
      Type.Object(
        {
          name: Type.String({ description: 'Its name in the group.', maxLength: 253 }),
          verdict: Words(['ok', 'over', 'unknown'], 'Its lag against what may be lost; unknown blocks a takeover.'),
          lagSeconds: maybe(Type.Number({ description: 'How far it is behind.', minimum: 0 })),
        },
        Strict,
      ),
      { description: 'Replication of the components into this region.', maxItems: 64 },
    ),
  },
  { ...Strict, description: 'What the group is in this region.' },
);
export type FailoverGroupStatus = Static<typeof FailoverGroupStatus>;

export const failoverGroupKind: Kind = {
  kind: 'FailoverGroup',
  plural: 'failovergroups',
  shortNames: ['fog'],
  description: 'What moves together between two regions, who may decide so, and within which limits.',
  spec: FailoverGroupSpec,
};
