// Which view is shown, what feeds it, and what is said above it.
//
//   address ─► view (list or detail) ◄─ one stream of server-sent events, while the page is seen

import { VERBS } from "./actions.js";
import { Detail } from "./detail.js";
import { h, tickAll } from "./dom.js";
import { List } from "./list.js";

const MESSAGES = ["hello", "list", "row", "gone", "detail", "unreadable", "trouble"];
const MOST_NOTICES = 4;

const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const notices = document.getElementById("notices");
let view = null;
let stream = null;
let listAddress = "/";
let cut = null;

function route() {
  const path = /^\/canaries\/([^/]+)\/([^/]+)$/.exec(location.pathname);
  view?.end();
  if (path) {
    view = new Detail(main, decodeURIComponent(path[1]), decodeURIComponent(path[2]), told);
    document.querySelector("[data-back]").href = listAddress;
  } else {
    view = new List(main);
  }
  document.getElementById("live").textContent = "";
  listen();
}

function listen() {
  stream?.close();
  stream = null;
  // Browsers open few connections to one server: pages that nobody sees leave them to the others.
  if (document.hidden || !view) return;
  const own = new EventSource(view.source);
  stream = own;
  for (const name of MESSAGES) {
    own.addEventListener(name, (message) => {
      if (stream !== own) return;
      const data = JSON.parse(message.data);
      if (name === "hello") greet(data);
      else if (name === "trouble") troubled(data);
      else view.on(name, data);
    });
  }
  own.addEventListener("open", () => lost(null));
  own.addEventListener("error", () => {
    if (stream !== own) return;
    lost(own.readyState === EventSource.CLOSED
      ? "The dashboard does not know this page any more. Start `kubectl canary dashboard` again, and open the address that it prints."
      : "The dashboard does not answer: what is shown may be old. Is `kubectl canary dashboard` still running?");
  });
}

function greet({ server, namespace, readOnly }) {
  document.getElementById("scope").textContent = `${namespace ? `namespace ${namespace}` : "all namespaces"} at ${server}`;
  document.getElementById("mode").hidden = !readOnly;
}

let behind = null;

function troubled(data) {
  behind = data;
  sayTrouble();
}

function lost(message) {
  cut = message;
  sayTrouble();
}

function sayTrouble() {
  const said = [];
  if (cut) said.push(h("p", { class: "note bad" }, cut));
  if (behind) said.push(h("p", { class: "note bad" }, `What is shown may be old: ${behind.message}`, behind.hint ? h("span", { class: "small" }, `hint: ${behind.hint}`) : null));
  trouble.replaceChildren(...said);
}

// A wish takes a while: it is said that it was asked, and then what came of it.
async function told(detail, verb, asked) {
  const id = `${detail.name}.${detail.namespace}`;
  const text = h("div", {}, `${VERBS[verb].label}: ${id} …`);
  const dismiss = h("button", { type: "button", "aria-label": `Dismiss: ${VERBS[verb].label} ${id}`, onclick: () => notice.remove() }, "×");
  const notice = h("div", { class: "note", "data-outcome": "asked" }, text, dismiss);
  notices.append(notice);
  while (notices.children.length > MOST_NOTICES) notices.firstChild.remove();
  const { good, message, hint } = await asked;
  notice.classList.add(good ? "good" : "bad");
  notice.dataset.outcome = good ? "done" : "failed";
  text.replaceChildren(h("span", {}, `${good ? "✔" : "✖"} ${message}`), ...(hint ? [h("span", { class: "small" }, `hint: ${hint}`)] : []));
}

function go(address) {
  if (view instanceof List) listAddress = location.pathname + location.search;
  history.pushState(null, "", address);
  route();
  (view instanceof Detail ? main.querySelector("h1") : main).focus();
  scrollTo(0, 0);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-link]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});

const keys = document.getElementById("keys");
document.getElementById("help").addEventListener("click", () => keys.showModal());
document.getElementById("keys-close").addEventListener("click", () => keys.close());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input");
  if (event.key === "?" && !typing) keys.showModal();
  else if (!view?.key(event)) return;
  event.preventDefault();
});

addEventListener("popstate", route);
document.addEventListener("visibilitychange", listen);
setInterval(() => {
  if (document.hidden) return;
  tickAll();
  view?.second?.();
}, 1000);
route();
