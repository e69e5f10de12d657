/**
 * A Resource: a declared document with provenance. Never mutable state.
 */
import type { TSchema } from 'typebox';

/** The API group and version of every kind the product declares. */
export const apiVersion = 'catalyst.openova.io/v1alpha1';

/** Where a document came from, so that a reader can open it and a run can say what it executed. */
export interface Provenance {
  /** The catalog source: `handbook`, `folder:/etc/runbooks`, `git:acme/runbooks`, `cluster`. */
  source: string;
  /** The Organization whose repository it is; undefined for the Sovereign's own. */
  organization?: string;
  /** Commit hash for Git sources, `resourceVersion` for cluster objects. */
  revision?: string;
  /** Path inside the source. */
  file: string;
  /** Line of the document's first key, counted from 1. */
  line: number;
  /** SHA-256 (hex) of the document's text: what a run pins. */
  digest: string;
}

export interface Metadata {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface Resource<Spec = unknown> {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
  spec: Spec;
  provenance: Provenance;
}

/** A kind of Resource: one schema gives the type, the validation, the CRD and the reference page. */
export interface Kind {
  kind: string;
  plural: string;
  shortNames: readonly string[];
  description: string;
  /** Schema of `spec`. */
  spec: TSchema;
  /** Errors that a schema cannot say, in a document that fits it. Paths begin at `spec`. */
  check?(spec: never): readonly SpecProblem[];
}

/** What is wrong inside a `spec`. */
export interface SpecProblem {
  rule: string;
  /** From `spec` on: `['spec', 'timeZone']`. */
  path: readonly (string | number)[];
  sentence: string;
}

/** What is wrong with a document, where, and in words that say what to do. */
export interface Problem {
  severity: 'error' | 'warning';
  /** Stable name of the rule: `unknown-action`, `check-not-bool`. */
  rule: string;
  sentence: string;
  source: string;
  file: string;
  line: number;
  column: number;
  /** `Runbook/openbao-sealed`, when the document got far enough to have a name. */
  resource?: string;
}
