import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedApproval } from './consent-decision.ts';
import { regionState } from './evidence-decision.ts';
import { inShort, Site } from './failover-fixture.ts';
import { defaultParameters } from './parameters.ts';
import type { Approval, FailoverSettings, ResolverAnswer } from './protocol.ts';

/** A standby whose peer renewed its lease for the last time just now. */
function standby(changes: Partial<FailoverSettings> = {}): Site {
  const site = new Site(changes);
  site.heldByPeer();
  site.pass(1);
  site.taken();
  return site;
}

/** An active region, by genesis. */
function active(changes: Partial<FailoverSettings> = {}): Site {
  const site = new Site({ initialHolder: true, ...changes });
  site.pass(40);
  assert.equal(site.last?.reason, 'ActiveOnLease');
  site.taken();
  return site;
}

function approve(site: Site, actor: string, changes: Partial<Approval> = {}): string | undefined {
  const approval = {
    type: 'approve' as const,
    proposal: site.state.proposal?.id ?? '',
    actor,
    reason: 'the region burns',
    acceptLoss: false,
    force: undefined,
    ...changes,
  };
  const refused = refusedApproval(site.state, { ...approval, at: site.at });
  site.send(approval);
  return refused;
}

const votes = (site: Site, self: ResolverAnswer, peer: ResolverAnswer) => {
  const { probe, settings } = site.state;
  if (probe)
    site.send({
      type: 'votes',
      request: probe.request,
      votes: settings.resolvers.map((resolver) => ({ resolver, self, peer })),
    });
};

test('at the start everything is closed and fenced before anything else', () => {
  const site = new Site({ initialHolder: true });
  const first = inShort(site.taken());
  assert.deepEqual(first.slice(0, 6), [
    'close traffic',
    'close mesh',
    'close stateful',
    'fence valkey',
    'fence postgres',
    'record started',
  ]);
  assert.ok(!first.some((word) => word.startsWith('open')));
});

test('a takeover: intent, lease, data promoted and verified, then mesh, then traffic, then what was lost', () => {
  const site = standby();
  site.pass(29);
  assert.equal(site.last?.reason, 'WaitingForExpiry');
  assert.equal(site.held(), undefined);
  site.pass(2);
  assert.deepEqual(inShort(site.taken()), [
    'record intent',
    'write hel 4',
    'record acquired',
    'write hel 4',
    'promote postgres',
    'promote valkey',
    'verify postgres',
    'verify valkey',
    'open stateful',
    'open mesh',
    'open traffic',
    'record activated',
    'compare with epoch 3',
  ]);
  assert.equal(site.last?.reason, 'ActiveOnLease');
});

test('nothing is written to the witness before the intent is on disk', () => {
  const site = standby();
  site.recordAnswers = false;
  site.pass(40);
  assert.deepEqual(
    inShort(site.taken()).filter((word) => !word.startsWith('record')),
    [],
  );
});

test('the peer’s signed word that it is fenced ends the wait at once, and only for that epoch', () => {
  const site = standby();
  site.send({ type: 'peer', message: { kind: 'fenced', from: 'fsn', epoch: 2 } });
  site.pass(2);
  assert.equal(site.held(), undefined);
  site.send({ type: 'peer', message: { kind: 'fenced', from: 'fsn', epoch: 3 } });
  assert.equal(site.held()?.epoch, 4);
});

test('semi-automatic: one person; manual: two different people with a typed reason', () => {
  const semi = standby({ mode: 'SemiAutomatic' });
  semi.pass(31);
  assert.equal(semi.last?.reason, 'WaitingForApproval');
  assert.equal(approve(semi, 'ada'), undefined);
  assert.equal(semi.held()?.acquiredBy.actor, 'ada');

  const manual = standby({ mode: 'Manual' });
  manual.pass(31);
  assert.match(approve(manual, 'ada', { reason: ' ' }) ?? '', /typed reason/);
  assert.equal(approve(manual, 'ada'), undefined);
  assert.match(approve(manual, 'ada') ?? '', /already/);
  assert.equal(manual.held(), undefined);
  assert.equal(approve(manual, 'grace'), undefined);
  assert.equal(manual.held()?.acquiredBy.actor, 'ada, grace');
});

test('an approval is looked at again: what has changed since speaks against it, and it expires', () => {
  const site = standby({ mode: 'SemiAutomatic' });
  site.pass(31);
  site.measure({ postgres: 'over' });
  approve(site, 'ada');
  assert.equal(site.last?.reason, 'RpoOver');
  assert.equal(site.held(), undefined);
  site.pass(901);
  assert.deepEqual(site.state.proposal?.approvals, [], 'a new proposal starts without approvals');
  approve(site, 'ada', { acceptLoss: true });
  assert.equal(site.held()?.kind, 'takeover');
});

test('automatic: unknown lag and failed checks block and page; a person may accept or force', () => {
  const site = standby();
  site.measure({ postgres: 'unknown' });
  site.pass(31);
  assert.equal(site.last?.reason, 'RpoUnknown');
  assert.ok(site.effects.some(({ type }) => type === 'page'));
  site.measure({ failedChecks: ['standby capacity'] });
  assert.equal(site.last?.reason, 'PreflightFailed');
  assert.match(approve(site, 'ada', { force: '' }) ?? '', /how you know/);
  approve(site, 'ada', { force: 'the provider says that the building has no power' });
  assert.equal(site.held()?.kind, 'takeover');
});

test('a region does not change again by itself so soon, nor so often', () => {
  const recent = standby();
  recent.heldByPeer({ seq: 8, payload: { dataAt: 'fsn', changedAgoMs: 60_000, takeoversAgoMs: [60_000] } });
  recent.pass(33);
  assert.equal(recent.last?.reason, 'Flapping');
  approve(recent, 'ada');
  assert.equal(recent.held()?.kind, 'takeover');

  const often = standby();
  often.heldByPeer({
    seq: 8,
    payload: { dataAt: 'fsn', changedAgoMs: 3_600_000, takeoversAgoMs: [3_600_000, 7_200_000] },
  });
  often.pass(33);
  assert.equal(often.last?.reason, 'Flapping');
});

test('a region that comes back never takes the group back by itself', () => {
  const site = standby();
  for (let i = 0; i < 3_600; i += 5) site.pass(5, () => site.heldByPeer({ seq: 8 + Math.floor(site.at / 5_000) }));
  assert.equal(site.last?.reason, 'PeerActive');
  assert.ok(!inShort(site.taken()).some((word) => word.startsWith('open') || word.startsWith('write')));
});

test('alone, the active side retries, fences at 18 s and does not come back with the same epoch', () => {
  const site = active();
  const { epoch = 0 } = site.held() ?? {};
  site.witnessUp = false;
  const renewedAt = site.held()?.acks.w ?? 0;
  let lastHeldAt = 0;
  site.pass(30, () => {
    if (site.held()) lastHeldAt = site.at;
  });
  assert.equal(lastHeldAt, renewedAt + 18_000, 'the tick of that second fenced it');
  assert.deepEqual(regionState(site.state), { state: 'fenced', epoch });
  const done = inShort(site.taken());
  assert.ok(done.indexOf('close traffic') < done.indexOf('fence postgres'));
  site.witnessUp = true;
  site.pass(10);
  assert.equal(site.held()?.epoch, epoch + 1);
});

test('a witness that fails for less than six seconds is not noticed', () => {
  const site = active();
  site.pass(10, () => {
    site.witnessUp = site.at % 10_000 >= 5_000;
  });
  assert.ok(!inShort(site.taken()).some((word) => word.startsWith('close')));
});

test('the peer’s promise carries the active side through any outage of the witness', () => {
  const site = active();
  const { epoch = 0 } = site.held() ?? {};
  site.witnessUp = false;
  site.pass(600, () => {
    for (const effect of site.taken())
      if (effect.type === 'send' && effect.message.kind === 'promise-request')
        site.send({
          type: 'peer',
          message: { kind: 'promise', from: 'fsn', epoch, nonce: effect.message.nonce, forMs: 30_000 },
        });
  });
  assert.equal(site.last?.reason, 'ActiveOnPromise');
  assert.equal(site.held()?.epoch, epoch);
});

test('continue-stateless: what writes is fenced, traffic lives on while two resolvers see this region', () => {
  const site = active({ dnsFallback: 'continue-stateless' });
  const { epoch = 0 } = site.held() ?? {};
  site.witnessUp = false;
  site.pass(60, () => votes(site, { state: 'active', epoch }, 'none'));
  assert.equal(site.last?.reason, 'StatelessOnResolvers');
  const done = inShort(site.taken());
  assert.ok(done.includes('close stateful') && done.includes('fence postgres') && !done.includes('close traffic'));
  site.pass(15);
  assert.ok(inShort(site.taken()).includes('close traffic'), 'nobody sees it any more');
});

test('resolvers: one that sees the peer alive forbids, and one’s own isolation is not the peer’s death', () => {
  for (const [self, peer, reason] of [
    [{ state: 'standby', epoch: 3 }, { state: 'active', epoch: 3 }, 'ResolverVeto'],
    ['unusable', 'unusable', 'ResolversUndecided'],
    ['none', 'none', 'ResolversUndecided'],
  ] as const) {
    const site = standby({ dnsFallback: 'continue-stateless' });
    site.pass(60, () => votes(site, self, peer));
    assert.equal(site.last?.reason, reason);
    assert.equal(site.held(), undefined);
  }
  const site = standby({ dnsFallback: 'continue-stateless' });
  site.pass(60, () => votes(site, { state: 'standby', epoch: 3 }, 'none'));
  assert.equal(site.held()?.kind, 'takeover');
});

test('resolvers: answers that stopped coming, and a round that was overtaken, say nothing of the peer’s death', () => {
  const dead = (site: Site) => votes(site, { state: 'standby', epoch: 3 }, 'none');
  for (const silence of [60, 5]) {
    const site = standby({ dnsFallback: 'continue-stateless' });
    site.pass(20, () => dead(site));
    assert.equal(site.held(), undefined, 'the lease has not run out yet');
    // Rounds are asked and nothing comes back.
    site.pass(silence);
    if (silence === 60) assert.equal(site.last?.reason, 'ResolversUndecided');
    site.pass(12, () => dead(site));
    assert.equal(site.held(), undefined, 'what was said before the silence does not count');
    site.pass(30, () => dead(site));
    assert.equal(site.held()?.kind, 'takeover');
  }
});

test('a round of questions ends before the next begins', () => {
  const { dnsSampleMs } = defaultParameters;
  const site = standby({ dnsFallback: 'continue-stateless' });
  site.pass(60);
  const rounds = site.taken().filter((effect) => effect.type === 'probe');
  assert.ok(rounds.length > 5);
  for (const { timeoutMs } of rounds) assert.ok(timeoutMs * 1.1 < dnsSampleMs, `${timeoutMs}`);
});

test('without the witness the standby holds, and promotes only with the unsafe fallback, after its hold-down', () => {
  for (const dnsFallback of ['hold', 'veto', 'continue-stateless', 'continue', 'promote'] as const) {
    const site = standby({ dnsFallback });
    site.pass(3);
    site.witnessUp = false;
    const dead = () => votes(site, regionState(site.state), 'none');
    site.pass(300, dead);
    assert.equal(site.last?.reason, 'WitnessUnreachable');
    site.pass(100, dead);
    assert.equal(site.held()?.kind, dnsFallback === 'promote' ? 'unwitnessed' : undefined);
  }
});

test('a planned switchover: on record, traffic, mesh, data, and only then the lease is released with the tokens', () => {
  const site = active();
  site.send({ type: 'switchover', actor: 'ada', reason: 'maintenance' });
  const done = inShort(site.taken());
  assert.deepEqual(done, [
    'record proposed',
    'record approved',
    'record switchover',
    'close traffic',
    'close mesh',
    'close stateful',
    'demote valkey',
    'demote postgres',
    'write nobody 1',
    'record released',
  ]);
  assert.deepEqual(site.lease?.payload, {
    dataAt: 'hel',
    positions: { postgres: '0/3000060' },
    changedAgoMs: null,
    takeoversAgoMs: [],
    handover: { from: 'hel', to: 'fsn', tokens: { valkey: 'valkey-token', postgres: 'postgres-token' } },
  });
  const other = new Site({ mode: 'Manual' });
  other.lease = site.lease && {
    ...site.lease,
    payload: { dataAt: 'fsn', handover: { from: 'fsn', to: 'hel', tokens: { postgres: 'its token' } } },
  };
  other.pass(3);
  assert.equal(other.held()?.kind, 'handover', 'it was agreed to where it started');
  const promoted = other.taken().find((effect) => effect.type === 'component' && effect.action === 'promote');
  assert.equal(promoted?.type === 'component' && promoted.token, 'its token');
});

test('a switchover whose peer never comes is taken back after the wait; one that cannot demote, at once', () => {
  const site = active();
  site.send({ type: 'switchover', actor: 'ada', reason: 'maintenance' });
  site.pass(20);
  assert.equal(site.last?.reason, 'WaitingForRelease');
  site.pass(15);
  assert.equal(site.held()?.kind, 'resume');

  const stuck = active();
  stuck.componentsAnswer = false;
  stuck.send({ type: 'switchover', actor: 'ada', reason: 'maintenance' });
  stuck.componentsAnswer = true;
  stuck.pass(130);
  assert.equal(stuck.last?.reason, 'ActiveOnLease');
  assert.ok(inShort(stuck.taken()).includes('record switchover-aborted'));
});

test('a switchover is refused while lag is over its limit', () => {
  const site = active();
  site.measure({ postgres: 'over' });
  site.send({ type: 'switchover', actor: 'ada', reason: 'maintenance' });
  assert.equal(site.last?.reason, 'ActiveOnLease');
  assert.deepEqual(
    inShort(site.taken()).filter((word) => word.startsWith('record')),
    ['record rejected'],
  );
});

test('a controller that stops closes everything, then gives the lease back', () => {
  const site = active();
  site.send({ type: 'stop', reason: 'SIGTERM' });
  site.pass(2);
  assert.equal(site.lease?.holder, '');
  assert.equal(site.last?.reason, 'Stopped');
});

test('a promise is kept, and not given while an attempt to acquire is alive', () => {
  const site = standby();
  site.send({ type: 'peer', message: { kind: 'promise-request', from: 'fsn', epoch: 3, nonce: 'n' } });
  assert.ok(site.taken().some((effect) => effect.type === 'send' && effect.message.kind === 'promise'));
  site.pass(25);
  site.send({ type: 'peer', message: { kind: 'promise-request', from: 'fsn', epoch: 3, nonce: 'o' } });
  site.pass(29);
  assert.equal(site.last?.reason, 'PromiseGiven');
  site.witnessUp = false;
  site.taken();
  site.pass(2);
  assert.ok(inShort(site.taken()).includes('write hel 4'));
  site.send({ type: 'peer', message: { kind: 'promise-request', from: 'fsn', epoch: 3, nonce: 'p' } });
  const refused = site.taken().find((effect) => effect.type === 'send');
  assert.equal(refused?.type === 'send' && refused.message.kind, 'promise-refused');
  site.witnessUp = true;
  site.pass(2);
  assert.equal(site.held()?.kind, 'takeover');
});

const said = (site: Site) => site.taken().flatMap((effect) => (effect.type === 'send' ? [effect.message.kind] : []));

test('a promise is said once it is on disk, and binds from when it was asked for', () => {
  const site = standby();
  site.recordAnswers = false;
  site.taken();
  site.send({ type: 'peer', message: { kind: 'promise-request', from: 'fsn', epoch: 3, nonce: 'n' } });
  const effects = site.taken();
  const remember = effects.find((effect) => effect.type === 'remember');
  assert.deepEqual([remember?.until, effects.some(({ type }) => type === 'send')], [site.at + 30_000, false]);
  site.pass(5);
  assert.equal(site.last?.reason, 'PromiseGiven');
  site.send({ type: 'recorded', entry: remember?.entry ?? '' });
  assert.deepEqual(said(site), ['promise']);
  site.send({ type: 'recorded', entry: remember?.entry ?? '' });
  assert.deepEqual(said(site), []);
});

test('a promise for less than our own times rely on is none', () => {
  const site = active();
  site.witnessUp = false;
  const epoch = site.held()?.epoch ?? 0;
  site.pass(30, () => {
    for (const effect of site.taken())
      if (effect.type === 'send' && effect.message.kind === 'promise-request') {
        const { nonce } = effect.message;
        site.send({ type: 'peer', message: { kind: 'promise', from: 'fsn', epoch, nonce, forMs: 29_999 } });
      }
  });
  assert.equal(site.held(), undefined);
});

test('a lease with a longer TTL than this region has is waited for as long as its holder counts on', () => {
  const site = standby();
  site.heldByPeer({ seq: 8, ttlMs: 60_000 });
  site.pass(55);
  assert.equal(site.held(), undefined);
  site.pass(10);
  assert.equal(site.held()?.kind, 'takeover');
});

test('a promise that cannot be written down is refused, and binds all the same', () => {
  const site = standby();
  site.recordAnswers = false;
  site.taken();
  site.send({ type: 'peer', message: { kind: 'promise-request', from: 'fsn', epoch: 3, nonce: 'n' } });
  const entry = site.taken().find((effect) => effect.type === 'remember')?.entry ?? '';
  site.send({ type: 'record-failed', entry, sentence: 'Input/output error.' });
  assert.deepEqual(said(site), ['promise-refused']);
  site.recordAnswers = true;
  assert.equal(site.pass(20).reason, 'PromiseGiven');
});

test('an attempt that was given up keeps nobody from promising: what is applied of it late is released', () => {
  const site = standby();
  site.pass(29);
  site.witnessUp = false;
  site.pass(2);
  const attempt = site.taken().find((effect) => effect.type === 'cas');
  assert.equal(attempt?.next.epoch, 4);
  site.pass(12);
  site.taken();
  site.send({ type: 'peer', message: { kind: 'promise-request', from: 'fsn', epoch: 3, nonce: 'n' } });
  assert.deepEqual(said(site), ['promise']);
  // The first write arrives after all.
  site.lease = attempt?.next;
  site.witnessUp = true;
  site.pass(5);
  assert.equal(site.held(), undefined);
  assert.equal(site.lease?.holder, '');
  assert.equal(site.last?.reason, 'PromiseGiven');
});

test('a full disk: nothing is begun, people are told, and it is tried again', () => {
  const site = standby();
  site.recordAnswers = false;
  site.pass(31, () => {
    for (const effect of site.taken())
      if (effect.type === 'record' || effect.type === 'remember')
        site.send({ type: 'record-failed', entry: effect.entry, sentence: 'No space left on device.' });
  });
  assert.equal(site.held(), undefined);
  site.recordAnswers = true;
  site.pass(12);
  assert.equal(site.held()?.kind, 'takeover');
});
