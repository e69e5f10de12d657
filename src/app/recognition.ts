/** The checks of incident types, over the catalog and the facts of the integrations. */
import type { Catalog } from '../catalog/catalog.ts';
import { compileRecognition } from '../catalog/incident-type-compile.ts';
import type { Check, Language } from '../check/check.ts';
import { messageOf } from '../errors.ts';
import type { Recogniser } from '../incident/recognition.ts';
import type { CallContext } from '../integrations/contract.ts';
import type { World } from '../run/world.ts';

/** The checks as they stand now, compiled again when the catalog changes. */
export function recognisersOf(
  catalog: Pick<Catalog, 'incidentTypes' | 'revision'>,
  language: Language,
  world: Pick<World, 'reader'>,
): () => readonly Recogniser[] {
  let revision = -1;
  let recognisers: readonly Recogniser[] = [];
  return () => {
    if (revision === catalog.revision) return recognisers;
    revision = catalog.revision;
    recognisers = catalog.incidentTypes().flatMap((type) =>
      compileRecognition(type, language).checks.map(({ check, ...one }) => ({
        ...one,
        source: check.source,
        look: (context) => lookAt(check, context, world),
      })),
    );
    return recognisers;
  };
}

async function lookAt(check: Check, context: CallContext, world: Pick<World, 'reader'>) {
  // A fact that does not mind the signal must not hold up the others.
  const { promise: late, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(context.signal.reason);
  context.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const seen = await Promise.race([check.evaluate({}, world.reader(context)), late]);
    if (!seen.ok) return { holds: undefined, sentence: `It cannot be told: ${seen.error.message}` };
    const read = seen.readings.map(({ fact, value }) => `${fact} = ${JSON.stringify(value)}`).join(', ');
    return {
      holds: seen.value === true,
      sentence: `${seen.value === true ? 'It holds' : 'It does not hold'}: ${read}.`,
    };
  } catch (error) {
    return { holds: undefined, sentence: `It cannot be told: ${messageOf(error)}` };
  } finally {
    context.signal.removeEventListener('abort', onAbort);
  }
}
