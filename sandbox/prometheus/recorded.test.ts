import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Database } from './database.ts';
import { type Answer, answerOf, RECORDED_QUERIES, recordedScrapes } from './recorded.ts';

const recorded = JSON.parse(readFileSync(join(import.meta.dirname, 'recorded.json'), 'utf8')) as {
  recordedFrom: string;
  answers: Record<string, Answer>;
};

describe(`what ${recorded.recordedFrom} answered`, () => {
  const database = new Database();
  for (const { time, samples } of recordedScrapes()) database.append(time, samples);

  it('was recorded for every query', () => {
    assert.deepEqual(Object.keys(recorded.answers), RECORDED_QUERIES);
  });

  for (const query of RECORDED_QUERIES) {
    it(query, () => assert.deepEqual(answerOf(query, database), recorded.answers[query]));
  }
});
