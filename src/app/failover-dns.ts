/** `catalyst-sre failover dns`: what publishes the hosts of groups. */
import { dump } from 'js-yaml';
import { loadDocuments } from '../catalog/document.ts';
import type { FailoverGroupSpec } from '../catalog/kinds/failover-group.ts';
import { CatalystError } from '../errors.ts';
import { gslbs, powerDnsLuaRecord } from '../failover/layers/dns-records.ts';
import { readText } from './check-document.ts';

/** @throws CatalystError InvalidResource for a file that is wrong, BadRequest for addresses that are */
export async function renderDns(path: string, pairs: readonly string[]): Promise<string> {
  const { resources, problems } = loadDocuments(await readText(path), { source: 'folder', file: path });
  if (problems.length > 0)
    throw new CatalystError(
      'InvalidResource',
      problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.sentence}`).join(' '),
    );
  const addresses: Record<string, string[]> = {};
  for (const pair of pairs) {
    const [region = '', address] = pair.split('=');
    if (address === undefined) throw new CatalystError('BadRequest', `${pair} is not REGION=IPv4.`);
    addresses[region] = [...(addresses[region] ?? []), address];
  }
  const groups = resources.filter(({ kind }) => kind === 'FailoverGroup');
  if (groups.length === 0) throw new CatalystError('InvalidResource', `${path} holds no FailoverGroup.`);
  const parts: string[] = [];
  for (const { spec, metadata } of groups) {
    const { external, regions } = spec as FailoverGroupSpec;
    for (const gslb of external ? gslbs(external) : []) parts.push(`---\n${dump(gslb, { noRefs: true })}`);
    if (pairs.length === 0) continue;
    const stranger = Object.keys(addresses).find((region) => !regions.includes(region));
    if (stranger !== undefined)
      throw new CatalystError('BadRequest', `${metadata.name} has no region ${stranger}: ${regions.join(', ')}.`);
    for (const host of external?.hosts ?? [])
      parts.push(`; PowerDNS\n${powerDnsLuaRecord({ host, addresses, ...ttlOf(external) })}\n`);
  }
  return parts.join('');
}

function ttlOf(external: FailoverGroupSpec['external']) {
  return external?.dnsTtlSeconds === undefined ? {} : { ttlSeconds: external.dnsTtlSeconds };
}
