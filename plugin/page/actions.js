// What a person can have done, behind a confirmation that says what it will be about.

import { h } from "./dom.js";

export const VERBS = {
  promote: {
    label: "Promote",
    text: "The release goes on: the gate that it waits at is opened, or it takes the next step now.",
  },
  "promote-full": {
    label: "Promote fully",
    title: "Promote without further analysis",
    text: "What is left of the analysis is skipped: the primary gets the new version now.",
    grave: true,
  },
  pause: { label: "Pause", text: "The release stays at its weight until it is resumed." },
  resume: { label: "Resume", text: "The release goes on; what was left of the step is kept." },
  rollback: {
    label: "Roll back",
    text: "All traffic goes back to the primary, and the release ends.",
    grave: true,
  },
  retry: { label: "Retry", text: "The revision that failed is released once more." },
};

const dialog = document.getElementById("confirm");
const form = dialog.querySelector("form");
const reason = document.getElementById("reason");
const stale = document.getElementById("confirm-stale");
let open = null;

function say(id, text) {
  document.getElementById(id).textContent = text;
}

// Asks whether it is meant; `whenDone` gets what came of it.
export function confirm(verb, offer, detail, whenAsked) {
  const { label, title, text, grave } = VERBS[verb];
  open = { verb, offer, detail, whenAsked };
  say("confirm-title", `${title ?? label}: ${detail.name}`);
  say("confirm-text", text);
  say("go", label);
  stale.textContent = "";
  document.getElementById("go").classList.toggle("grave", grave === true);
  const facts = [["Namespace", detail.namespace], ["Release", detail.release ? String(detail.release.number) : "–"],
    ["Revision", offer.revision], ["Change", detail.images || "the same images, another template"]];
  document.getElementById("confirm-facts").replaceChildren(
    ...facts.flatMap(([term, fact]) => [h("dt", {}, term), h("dd", {}, fact)]));
  reason.value = "";
  dialog.showModal();
  reason.focus();
}

// The release may change while the question stands.
export function lookAgain(detail) {
  if (!open || open.detail.uid !== detail?.uid) return;
  const still = detail.offers.find(({ verb }) => verb === open.verb);
  if (still?.revision === open.offer.revision) stale.textContent = "";
  else if (still) stale.textContent = `Meanwhile revision ${still.revision} has come: cancel, and look again.`;
  else stale.textContent = "Meanwhile this makes no sense any more: cancel, and look again.";
}

export function close() {
  if (dialog.open) dialog.close();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { verb, offer, detail, whenAsked } = open;
  const body = { revision: offer.revision, reason: reason.value.trim() };
  dialog.close();
  whenAsked(verb, ask(verb, detail, body));
});
document.getElementById("cancel").addEventListener("click", close);
dialog.addEventListener("close", () => { open = null; });

async function ask(verb, { namespace, name }, body) {
  const path = ["/api/canaries", encodeURIComponent(namespace), encodeURIComponent(name), verb].join("/");
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    const text = await answer.text();
    return { good: answer.ok, ...read(text) };
  } catch {
    return { good: false, message: "the dashboard does not answer", hint: "is `kubectl canary dashboard` still running?" };
  }
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.trim() };
  }
}
