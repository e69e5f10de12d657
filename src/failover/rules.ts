/** The least the controller's account needs in its cluster: each rule says for what. */
import { type PolicyRule, rule } from '../integrations/kubernetes/rbac.ts';

export const failoverRules: readonly PolicyRule[] = [
  // Groups that are objects, and what they are told. Nothing may read a status here but by listing: it is ignored.
  rule('catalyst.openova.io', 'failovergroups', 'list', 'watch'),
  rule('catalyst.openova.io', 'failovergroups/status', 'patch'),
  // External traffic: the gate's rule in the routes; what k8gb makes of it is only looked at.
  rule('gateway.networking.k8s.io', 'httproutes', 'get', 'patch'),
  rule('k8gb.io', 'gslbs', 'list'),
  // Internal traffic: annotations of Services, EndpointSlices of our own, and the setting of Cilium's cache.
  rule('', 'services', 'get', 'patch'),
  rule('discovery.k8s.io', 'endpointslices', 'get', 'create', 'patch'),
  rule('', 'configmaps', 'get'),
  // Pre-flight: whether everything of a group has a place, an image and a quota here.
  rule('', ['pods', 'resourcequotas'], 'list'),
  // Components: promotion, demotion and fence.
  rule('postgresql.cnpg.io', 'clusters', 'get', 'patch'),
  rule('kafka.strimzi.io', 'kafkamirrormaker2s', 'get', 'patch'),
];
