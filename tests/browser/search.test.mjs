import assert from "node:assert/strict";
import test from "node:test";
import { counts, fromAddress, isIn, matcher, toAddress } from "../../plugin/page/search.js";

const row = (over) => ({ namespace: "test", name: "podinfo", state: "resting", phase: "Succeeded", images: "6.0.0 → 6.0.1", by: "alice", ...over });

test("words must all occur, somewhere", () => {
  for (const [query, fits] of [
    ["", true], ["pod", true], ["POD alice", true], ["pod bob", false], ["6.0.1", true], ["succ", true],
    ["!bob", true], ["!alice", false], ['"podinfo"', true], ['"pod"', false], ["ns:test", true], ["ns:pod", false],
    ["by:alice !phase:failed", true], ["image:6.0.1", true], ["nosuchplace:x", false], ["!", false], ["constructor:x", false],
  ]) {
    assert.equal(matcher(query)(row()), fits, query);
  }
});

test("who is not known can be searched for", () => {
  assert.equal(matcher("by:unknown")(row({ by: undefined })), true);
});

test("each row is in all, in its state, and perhaps in need of attention", () => {
  const rows = [row(), row({ state: "failed", attention: "look" }), row({ state: "paused" })];
  assert.deepEqual(counts(rows), { all: 3, releasing: 0, waiting: 0, paused: 1, failed: 1, attention: 1, resting: 1, other: 0 });
  assert.equal(isIn(rows[1], "attention"), true);
});

test("a filter goes into the address and comes back", () => {
  for (const filter of [{ query: "", state: "all" }, { query: "a&b=c !d", state: "failed" }, { query: "ü", state: "all" }]) {
    const address = toAddress(filter);
    assert.deepEqual(fromAddress(address.slice(1)), filter, address);
  }
  assert.equal(toAddress({ query: "", state: "all" }), "/");
  assert.deepEqual(fromAddress("?state=nonsense"), { query: "", state: "all" });
});
