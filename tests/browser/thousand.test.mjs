// A thousand Canaries, without a controller: how fast they are there, and how fast a change is.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, api, env, launch, patch, watched } from "./browser.mjs";

const COUNT = 1000;
const NAMESPACE = env("NAMESPACE");
const CANARIES = `/apis/flagger.app/v1beta1/namespaces/${NAMESPACE}/canaries`;
const FIRST_PAINT = 1000;
const UPDATE = 500;

const nameOf = (i) => `app-${String(i).padStart(4, "0")}`;
const PHASES = ["Succeeded", "Succeeded", "Succeeded", "Progressing", "Failed", "WaitingPromotion", "Initialized", "Succeeded"];

const canary = (i) => ({
  apiVersion: "flagger.app/v1beta1", kind: "Canary", metadata: { name: nameOf(i) },
  spec: {
    provider: "apisix",
    targetRef: { apiVersion: "apps/v1", kind: "Deployment", name: nameOf(i) },
    routeRef: { apiVersion: "apisix.apache.org/v2", kind: "ApisixRoute", name: nameOf(i) },
    service: { port: 80 },
    analysis: {
      interval: "1m", threshold: 10, maxWeight: 50, stepWeight: 10,
      metrics: [{ name: "request-success-rate", thresholdRange: { min: 99 }, interval: "1m" }],
    },
  },
});

const state = (i) => ({
  phase: PHASES[i % PHASES.length], canaryWeight: i % 8 === 3 ? 20 : 0, failedChecks: 0, iterations: 0,
  release: {
    number: 3, revision: "v1-bbbbbbbbbbbb", from: "v1-aaaaaaaaaaaa", by: "alice", startedAt: new Date(Date.now() - 60_000 * i).toISOString(),
    images: [{ container: "app", from: `registry.example/team/${nameOf(i)}:1.0.0`, to: `registry.example/team/${nameOf(i)}:1.1.0` }],
  },
});

async function create(i) {
  await api(CANARIES, { method: "POST", body: canary(i) });
  await patch(`${CANARIES}/${nameOf(i)}/status`, { status: state(i) });
}

let browser;
let page;
let complaints;

before(async () => {
  let next = 0;
  const worker = async () => {
    while (next < COUNT) await create(next++);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  browser = await launch();
  const context = await browser.newContext();
  ({ page, complaints } = await watched(context));
  await page.addInitScript(() => {
    // The first row that is on the screen, and the last that is in the document.
    globalThis.seen = {};
    const look = () => {
      const rows = document.querySelectorAll(".list tbody tr").length;
      if (rows && !seen.first) {
        seen.first = true;
        requestAnimationFrame(() => setTimeout(() => { seen.painted = performance.now(); }));
      }
      if (rows >= 1000) seen.all ??= performance.now();
    };
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
  });
});
after(() => browser?.close());

test(`the first rows are painted within ${FIRST_PAINT} ms`, async (t) => {
  await page.goto(env("URL"));
  await page.waitForFunction(() => globalThis.seen?.painted && globalThis.seen.all);
  const painted = [];
  for (let i = 0; i < 5; i += 1) {
    await page.goto(new URL(env("URL")).origin);
    await page.waitForFunction(() => globalThis.seen?.painted && globalThis.seen.all);
    painted.push(await page.evaluate(() => [Math.round(seen.painted), Math.round(seen.all)]));
  }
  t.diagnostic(`first paint, all rows (ms): ${painted.map((pair) => pair.join(", ")).join("; ")}`);
  const median = painted.map(([first]) => first).sort((a, b) => a - b)[2];
  assert.ok(median <= FIRST_PAINT, `${median} ms`);
  assert.equal(await page.locator(".list tbody tr").count(), COUNT);
  assert.match(await page.getByRole("button", { name: /Failed/ }).innerText(), /^125 /);
});

test(`a change is on the page within ${UPDATE} ms after it was sent to the API server`, async (t) => {
  const took = [];
  for (let i = 0; i < 10; i += 1) {
    const name = nameOf(3 + 8 * i);
    const weight = 21 + i;
    const arrival = page.evaluate(([canary, text]) => new Promise((done) => {
      const link = [...document.querySelectorAll("tbody a")].find((a) => a.textContent === canary);
      const row = link.closest("tr");
      new MutationObserver((_, observer) => {
        if (!row.textContent.includes(text)) return;
        observer.disconnect();
        requestAnimationFrame(() => done(Date.now()));
      }).observe(row, { childList: true, subtree: true });
    }), [name, `${weight} %`]);
    // So that the page looks before the change is sent.
    await page.evaluate(() => 0);
    const sent = Date.now();
    await patch(`${CANARIES}/${name}/status`, { status: { canaryWeight: weight } });
    took.push((await arrival) - sent);
  }
  t.diagnostic(`update (ms): ${took.join(", ")}`);
  const median = took.toSorted((a, b) => a - b)[5];
  assert.ok(median <= UPDATE, `${took}`);
});

test("search and counters narrow a thousand rows at once", async () => {
  await page.getByRole("searchbox").fill("app-000");
  assert.equal(await page.locator(".list tbody tr:not([hidden])").count(), 10);
  await page.getByRole("button", { name: /Failed/ }).click();
  assert.equal(await page.locator(".list tbody tr:not([hidden])").count(), 1);
  await accessible(page, "a filtered list");
  assert.deepEqual(complaints, []);
});
