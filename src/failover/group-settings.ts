/** From a FailoverGroup and the region this runs in to the settings of the protocol; what is wrong is said with its rule. */
import { parseDuration } from '../catalog/duration.ts';
import type { FailoverGroupSpec } from '../catalog/kinds/failover-group.ts';
import { componentProblems } from './layers/create-components.ts';
import { signals } from './layers/signals.ts';
import { brokenRules, defaultParameters, type Parameters } from './parameters.ts';
import type { FailoverSettings } from './protocol.ts';
import { labelPattern } from './witness/lease-text.ts';

export interface GroupDeclaration {
  name: string;
  spec: FailoverGroupSpec;
}

/** What a group must say word for word to get dnsFallback promote. */
export const unsafeAcknowledgement = 'I accept two active regions';

type Timings = NonNullable<FailoverGroupSpec['timings']>;

/** Names of the resource's times and of the protocol's. */
const times: Readonly<Record<Exclude<keyof Timings, 'clockRateError'>, keyof Parameters>> = {
  ttl: 'ttlMs',
  renew: 'renewMs',
  retry: 'retryMs',
  softLimit: 'softMs',
  hardLimit: 'hardMs',
  fenceBudget: 'fenceMs',
  wait: 'waitMs',
  promise: 'promiseMs',
  poll: 'pollMs',
};

/** Default adapter limits are seconds; the protocol counts in milliseconds. */
function rpoMs(component: NonNullable<FailoverGroupSpec['components']>[number]): number {
  if (component.rpo !== undefined) return parseDuration(component.rpo) ?? 0;
  return component.adapter === 'Gitea' ? 0 : signals[component.adapter].rpoSeconds * 1000;
}

export function parametersOf(spec: FailoverGroupSpec): Parameters {
  const parameters: Parameters = { ...defaultParameters };
  const set = (name: keyof Parameters, value: number | undefined) => {
    if (value !== undefined) parameters[name] = value;
  };
  for (const [name, target] of Object.entries(times)) {
    const text = spec.timings?.[name as keyof typeof times];
    set(target, text === undefined ? undefined : parseDuration(text));
  }
  set('clockError', spec.timings?.clockRateError);
  set('dwellMs', spec.minimumDwell === undefined ? undefined : parseDuration(spec.minimumDwell));
  set('maxTakeovers', spec.maximumTakeovers);
  return parameters;
}

/** Everything that is wrong with a group for the controller of `region`; each sentence says the rule it breaks. */
export function groupProblems(
  { name, spec }: GroupDeclaration,
  region: string,
  known: { witnesses: readonly string[]; resolvers: readonly string[]; peer: string | undefined },
): string[] {
  const problems: string[] = [];
  const say = (sentence: string) => problems.push(`Group ${name}: ${sentence}`);
  const { regions, witnesses, dnsFallback } = spec;
  if (!labelPattern.test(name))
    say('its name has to be a DNS label: small letters, digits and dashes, no dots, 63 at most.');
  if (!regions.includes(region))
    say(`it has the regions ${regions.join(' and ')}, and this controller runs in ${region}.`);
  if (new Set(regions).size !== 2) say('its two regions must be different: the lease tells them apart by name.');
  const peer = regions.find((one) => one !== region);
  if (known.peer !== undefined && peer !== known.peer)
    say(`its other region is ${peer}, and the peer of this controller is ${known.peer}.`);
  if (spec.initialRegion !== undefined && !regions.includes(spec.initialRegion))
    say(`initialRegion ${spec.initialRegion} is not one of its regions.`);
  if (![1, 3].includes(witnesses.length) || new Set(witnesses).size !== witnesses.length)
    say('it needs one witness, or three different ones: two have no majority that one outage would not take away.');
  for (const witness of witnesses)
    if (!known.witnesses.includes(witness)) say(`there is no witness ${witness} in the configuration.`);
  if (dnsFallback !== undefined && dnsFallback !== 'hold' && known.resolvers.length === 0)
    say(`dnsFallback ${dnsFallback} needs "resolvers" in the configuration.`);
  if (dnsFallback === 'promote' && spec.acknowledgeUnsafePromote !== unsafeAcknowledgement)
    say(`dnsFallback promote can make two regions active; set acknowledgeUnsafePromote to "${unsafeAcknowledgement}".`);
  const uses = { resolvers: known.resolvers.length > 0, promote: dnsFallback === 'promote' };
  for (const { rule, numbers, sentence } of brokenRules(parametersOf(spec), uses))
    say(`the times break the rule ${rule} (${numbers}). ${sentence}`);
  for (const { sentence } of componentProblems(spec)) say(sentence);
  return problems;
}

export function settingsOf(
  { name, spec }: GroupDeclaration,
  region: string,
  resolvers: readonly string[],
): FailoverSettings {
  const [first = '', second = ''] = spec.regions;
  const components = [...(spec.components ?? [])].sort((a, b) => (a.order ?? 0) - (b.order ?? 0));
  return {
    group: name,
    region,
    peer: region === first ? second : first,
    witnesses: spec.witnesses,
    resolvers,
    parameters: parametersOf(spec),
    mode: spec.mode ?? 'SemiAutomatic',
    // Without resolvers there is nobody to ask, and nothing but to hold.
    dnsFallback: resolvers.length === 0 ? 'hold' : (spec.dnsFallback ?? 'continue-stateless'),
    initialHolder: region === (spec.initialRegion ?? first),
    components: components.map((component) => ({ name: component.name, rpoMs: rpoMs(component) })),
  };
}
