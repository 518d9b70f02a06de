import assert from "node:assert/strict";
import test from "node:test";

import { Floor } from "../../web/sdk/floor.js";

/** What is written in so many seconds of one estimate; what is due is taken at once. */
function run(floor, seconds, estimateBps) {
  const written = [];
  for (let i = 0; i < seconds; i++) {
    floor.watch(estimateBps);
    if (floor.isDue) written.push((floor.applied = floor.written));
  }
  return written;
}

test("a floor is due until it is applied, and when it changes", () => {
  const floor = new Floor();
  assert.equal(floor.isDue, false);
  floor.want(700_000);
  assert.deepEqual([floor.isDue, floor.written], [true, 700_000]);
  floor.applied = floor.written;
  assert.equal(floor.isDue, false);
  floor.want(null);
  assert.deepEqual([floor.isDue, floor.written], [true, null]);
});

test("an estimate that stays below is told again, each time a little different, and not all the time", () => {
  const floor = new Floor();
  floor.want(900_000);
  floor.applied = floor.written;
  assert.deepEqual(run(floor, 60, 900_000), []);
  assert.deepEqual(run(floor, 2, 200_000), [], "a dip");
  assert.deepEqual(run(floor, 1, 850_000), [], "it is over");
  assert.deepEqual(run(floor, 3, 200_000), [901_000]);
  assert.deepEqual(run(floor, 7, 200_000), [], "time to take effect");
  assert.deepEqual(run(floor, 1, 200_000), [900_000]);
  assert.deepEqual(run(floor, 60, 900_000), []);
});

test("nothing is repeated where there is no floor, or no estimate to see", () => {
  const floor = new Floor();
  assert.deepEqual(run(floor, 30, 100_000), []);
  floor.want(500_000);
  floor.applied = floor.written;
  assert.deepEqual(run(floor, 30, null), []);
  floor.want(null);
  floor.applied = floor.written;
  assert.deepEqual(run(floor, 30, 100_000), []);
});
