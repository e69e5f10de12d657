/**
 * The IncidentType: what an alert means to people (handbook §13). It gives the incident its title, its severity and so
 * its response time, says which alerts belong together, and what to look at.
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource } from '../resource.ts';
import { Duration } from './alerting.ts';

export const severities = ['P1', 'P2', 'P3', 'P4'] as const;
/** Handbook §13.1, most severe first: 15 minutes, 1 hour, 4 hours, next business day. */
export type Severity = (typeof severities)[number];

const Strict = { additionalProperties: false } as const;

const Recognition = Type.Object(
  {
    alertName: Type.String({
      description: 'The label alertname of the alert.',
      minLength: 1,
      maxLength: 253,
      examples: ['OpenBaoSealed'],
    }),
    matchers: Type.Optional(
      Type.Array(
        Type.String({
          description:
            'An Alertmanager label matcher: one of = != =~ !~ between a label name and a quoted or bare value. Regular expressions are RE2 and anchored.',
          maxLength: 1024,
          examples: ['namespace="cortex"'],
        }),
        { description: 'Label matchers that must all hold.', maxItems: 32 },
      ),
    ),
  },
  { ...Strict, description: 'Alerts that are recognised as this type.' },
);

const RecognitionCheck = Type.Object(
  {
    name: Type.String({
      description: 'Tells the checks of a type apart.',
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      maxLength: 63,
      examples: ['no-answer'],
    }),
    check: Type.String({
      description: 'A CEL expression over facts that holds while the incident lasts. It reads no variables.',
      minLength: 1,
      maxLength: 4096,
      examples: ['gitea.reachable == false'],
    }),
    for: Duration(
      'How long it must hold without a break to open an incident, and how long it must not hold to be over. While a fact cannot be read it neither holds nor does not hold.',
      '3m',
    ),
    every: Type.Optional(Duration('How often it is looked at. Default 30s; at least 5s.', '30s')),
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }), Type.String({ maxLength: 1024 }), {
        description: 'Where it is: labels of the alert the check raises. Without those of the scope it stands for all.',
        maxProperties: 16,
      }),
    ),
  },
  { ...Strict, description: 'Facts that are recognised as this type, without an alert of a monitoring system.' },
);

export const IncidentTypeSpec = Type.Object(
  {
    title: Type.String({
      description: 'What has happened, in the words people use. Where it happened is added from the scope.',
      minLength: 1,
      maxLength: 256,
      examples: ['OpenBao sealed'],
    }),
    severity: Type.Union([Type.Literal('P1'), Type.Literal('P2'), Type.Literal('P3'), Type.Literal('P4')], {
      description: 'P1 control plane down, P2 major Application or feature broken, P3 minor issue, P4 low priority.',
    }),
    recognisedBy: Type.Array(Recognition, {
      description:
        'The alerts that open or join an incident of this type: any one of these. May be empty where checks recognise it.',
      maxItems: 32,
    }),
    recognise: Type.Optional(
      Type.Object(
        {
          checks: Type.Array(RecognitionCheck, {
            description: 'Checks, each of which opens or joins an incident of this type.',
            minItems: 1,
            maxItems: 8,
          }),
        },
        { ...Strict, description: 'How it is recognised beside alerts.' },
      ),
    ),
    scope: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$', maxLength: 253, examples: ['namespace'] }), {
        description:
          'Labels whose values tell one incident of this type from another. Default: cluster, namespace and the workload the alert names.',
        maxItems: 16,
      }),
    ),
    causedBy: Type.Optional(
      Type.Array(
        Type.Object(
          {
            type: Type.String({
              description: 'Name of the IncidentType that explains this one.',
              minLength: 1,
              maxLength: 253,
              examples: ['gitea-unreachable'],
            }),
            same: Type.Array(
              Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$', maxLength: 253, examples: ['cluster'] }),
              {
                description: 'Labels that have to be the same in both; one that is missing in both is the same.',
                maxItems: 16,
              },
            ),
          },
          { ...Strict, description: 'A cause, and where it has to be.' },
        ),
        {
          description:
            'What it may follow from. While such an incident is open, this one is linked with it, and of P2 to P4 nobody is paged before the response time runs out.',
          maxItems: 16,
        },
      ),
    ),
    runbooks: Type.Optional(
      Type.Array(
        Type.String({ pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253, examples: ['openbao-sealed'] }),
        {
          description:
            'Runbooks to show beside the incident, the most useful first. What runs is decided by their triggers.',
          maxItems: 16,
        },
      ),
    ),
    guidance: Type.Optional(
      Type.String({ description: 'What to look at, for the person who opens the incident.', maxLength: 8192 }),
    ),
  },
  { ...Strict, description: 'A type of incident.' },
);

export type IncidentTypeSpec = Static<typeof IncidentTypeSpec>;
export type IncidentType = Resource<IncidentTypeSpec>;

export const incidentTypeKind: Kind = {
  kind: 'IncidentType',
  plural: 'incidenttypes',
  shortNames: ['it'],
  description: 'What an alert means to people: title, severity, what belongs together, what to look at.',
  spec: IncidentTypeSpec,
};
