/** Configuration of the Kubernetes integration. */
import Type, { type Static } from 'typebox';
import { secretProperties } from '../secrets.ts';

const Strict = { additionalProperties: false } as const;

const InCluster = Type.Object(
  { inCluster: Type.Literal(true, { description: 'Uses the service account of the pod this runs in.' }) },
  { ...Strict, description: 'The cluster this runs in.' },
);

const Kubeconfig = Type.Object(
  {
    kubeconfig: Type.String({
      description: 'Path of a kubeconfig file; its exec, OIDC and certificate users work.',
      minLength: 1,
      maxLength: 4096,
      examples: ['/etc/catalyst/kubeconfig'],
    }),
    context: Type.Optional(
      Type.String({ description: 'Context to use. Default: the current one.', minLength: 1, maxLength: 253 }),
    ),
  },
  { ...Strict, description: 'A cluster named by a kubeconfig file.' },
);

const Server = Type.Object(
  {
    server: Type.String({
      description: 'URL of the API server. Plain http only for loopback addresses.',
      pattern: '^https?://',
      maxLength: 2048,
      examples: ['https://kubernetes.default.svc'],
    }),
    ...secretProperties('token', 'the bearer token'),
    caFile: Type.Optional(
      Type.String({ description: 'File with the certificate authority of the API server (PEM).', maxLength: 4096 }),
    ),
  },
  { ...Strict, description: 'A cluster named by its address.' },
);

export const KubernetesConfig = Type.Union([InCluster, Kubeconfig, Server], {
  description: 'How the Kubernetes API is reached: inCluster, kubeconfig or server.',
});
export type KubernetesConfig = Static<typeof KubernetesConfig>;
