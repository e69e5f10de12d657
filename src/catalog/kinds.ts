/** The kinds of documents a catalog knows. A new kind is a file in `kinds/` and a line here. */
import { failoverGroupKind } from './kinds/failover-group.ts';
import { incidentTypeKind } from './kinds/incident-type.ts';
import { runbookKind } from './kinds/runbook.ts';
import { runbookTestKind } from './kinds/runbook-test.ts';
import type { Kind } from './resource.ts';

export const kinds: readonly Kind[] = [runbookKind, incidentTypeKind, runbookTestKind, failoverGroupKind];
