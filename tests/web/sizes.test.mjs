import assert from "node:assert/strict";
import { test } from "node:test";

import { SizeWatch } from "../../web/sdk/sizes.js";
import { VirtualClock } from "./virtual_clock.mjs";

function setup() {
  const parts = { clock: new VirtualClock(), said: [], observed: new Set(), fails: 0, closed: false };
  const view = {
    observe: (changed) => {
      parts.changed = changed;
      return {
        observe: (element) => parts.observed.add(element),
        unobserve: (element) => parts.observed.delete(element),
        close: () => (parts.closed = true),
      };
    },
    measure: ({ width, height }) => ({ width, height }),
  };
  const say = async (tracks) => {
    if (parts.fails > 0) {
      parts.fails -= 1;
      throw new Error("no");
    }
    parts.said.push(tracks.map(({ track_id: id, width, height }) => `${id} ${width}×${height}`).join(", "));
  };
  parts.sizes = new SizeWatch({ clock: parts.clock, view, say });
  return parts;
}

test("sizes are said once, and again when they change", async () => {
  const { sizes, clock, said, changed } = setup();
  const tile = { width: 640, height: 360 };
  sizes.watch("a", tile);
  sizes.watch("b", { width: 0, height: 0 });
  await clock.advance(1000);
  changed();
  await clock.advance(1000);
  assert.deepEqual(said, ["a 640×360, b 0×0"]);
  tile.width = 320;
  changed();
  await clock.advance(1000);
  assert.deepEqual(said.slice(1), ["a 320×360"]);
});

test("a window being dragged is spoken of four times a second", async () => {
  const { sizes, clock, said, changed } = setup();
  const tile = { width: 100, height: 100 };
  sizes.watch("a", tile);
  for (let frame = 0; frame < 120; frame += 1) {
    tile.width += 1;
    changed();
    await clock.advance(1000 / 60);
  }
  await clock.advance(1000);
  assert.ok(said.length >= 7 && said.length <= 10, `${said.length}`);
  assert.equal(said.at(-1), "a 220×100");
});

test("a track shown twice counts with the larger, and with nothing when it is shown nowhere", async () => {
  const { sizes, clock, said, observed } = setup();
  const small = { width: 100, height: 100 };
  const large = { width: 500, height: 500 };
  const stops = [sizes.watch("a", small), sizes.watch("a", large)];
  await clock.advance(1000);
  stops[1]();
  stops[1]();
  await clock.advance(1000);
  stops[0]();
  await clock.advance(1000);
  assert.deepEqual(said, ["a 500×500", "a 100×100", "a 0×0"]);
  assert.equal(observed.size, 0);
});

test("what could not be said is said later", async () => {
  const parts = setup();
  parts.fails = 2;
  parts.sizes.watch("a", { width: 1, height: 1 });
  await parts.clock.advance(3000);
  assert.deepEqual(parts.said, ["a 1×1"]);
});

test("everything is said again to a server that knows nothing", async () => {
  const { sizes, clock, said } = setup();
  sizes.watch("a", { width: 1, height: 1 });
  await clock.advance(1000);
  sizes.startOver();
  await clock.advance(1000);
  assert.deepEqual(said, ["a 1×1", "a 1×1"]);
});

test("a track that is gone is not spoken of", async () => {
  const { sizes, clock, said } = setup();
  const stop = sizes.watch("a", { width: 1, height: 1 });
  await clock.advance(1000);
  sizes.forget("a");
  stop();
  await clock.advance(1000);
  assert.deepEqual(said, ["a 1×1"]);
});

test("many tracks go in messages of 64", async () => {
  const { sizes, clock, said } = setup();
  for (let index = 0; index < 100; index += 1) sizes.watch(`t${index}`, { width: 1, height: 1 });
  await clock.advance(1000);
  assert.deepEqual(said.map((text) => text.split(", ").length), [64, 36]);
});

test("nothing is said after the end", async () => {
  const parts = setup();
  parts.sizes.watch("a", { width: 1, height: 1 });
  parts.sizes.close();
  await parts.clock.advance(1000);
  assert.deepEqual(parts.said, []);
  assert.ok(parts.closed);
});
