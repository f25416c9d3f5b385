// A real Chromium on a real dashboard, and a way around it to the cluster.
//
//   test ─► page ─► kubectl canary dashboard ─► API server ◄─ kubectl proxy ◄─ test

import assert from "node:assert/strict";
import { test } from "node:test";
import axe from "axe-core";
import { chromium } from "playwright-core";

export const env = (name) => {
  assert.ok(process.env[name], `${name} is not set: these tests are run by \`make browser\``);
  return process.env[name];
};

// Long enough for a machine that does much else.
export const PATIENCE = 60_000;

export function launch() {
  // Chromium's own sandbox does not work for root, who runs these tests in CI.
  return chromium.launch({ executablePath: env("CHROMIUM"), args: ["--no-sandbox"] });
}

// A page whose browser says everything that it is not content with.
export async function watched(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${message.text()} ${message.location().url}`);
  });
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  return { page, complaints, asked };
}

// The API server as the administrator.
export async function api(path, { method = "GET", body, type = "application/json" } = {}) {
  const answer = await fetch(env("API_URL") + path, {
    method, headers: { "content-type": type }, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const value = await answer.json();
  assert.ok(answer.ok, `${method} ${path}: ${JSON.stringify(value)}`);
  return value;
}

export const patch = (path, body) => api(path, { method: "PATCH", body, type: "application/merge-patch+json" });

// What a screen reader would stumble over.
export async function accessible(page, what) {
  await page.evaluate(axe.source);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  assert.ok(passes.length > 10, `axe looked at too little: ${passes.length}`);
  const said = violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.slice(0, 3).map(({ html }) => html).join("\n  ")}`);
  assert.deepEqual(said, [], what);
}

// Tests that each begin where the one before has ended: after a failure the others are not tried.
export function story() {
  let failed;
  return (name, act) => test(name, async () => {
    assert.ok(!failed, `not tried, since this failed: ${failed}`);
    failed = name;
    await act();
    failed = undefined;
  });
}

export async function until(what, check, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await check();
    if (found) return found;
    assert.ok(Date.now() < end, `it did not come to pass: ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}
