// Elements, times and numbers. Text of the cluster becomes text nodes and attributes, never markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// As `kubectl canary status` writes them.
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(s / 60);
  const hours = Math.floor(s / 3600);
  if (s < 120) return `${s}s`;
  if (s < 600 && s % 60) return `${minutes}m${s % 60}s`;
  if (s < 7200) return `${minutes}m`;
  if (s < 36000 && minutes % 60) return `${hours}h${minutes % 60}m`;
  if (s < 172800) return `${hours}h`;
  return `${Math.floor(s / 86400)}d`;
}

export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

export const moment = (time) => new Date(time).toLocaleString("en-GB");

// Two decimals, as the Events have them; a bound as it was written.
export const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

export function range({ min, max }) {
  if (min !== undefined && max !== undefined) return `${min} to ${max}`;
  if (min !== undefined) return `≥ ${min}`;
  return max !== undefined ? `≤ ${max}` : "any value";
}

export function since(time, after = " ago") {
  const element = h("time", { datetime: time, title: moment(time), "data-since": time, "data-after": after });
  tick(element);
  return element;
}

export function until(time, before = "next check in ") {
  const element = h("time", { datetime: time, "data-until": time, "data-before": before });
  tick(element);
  return element;
}

function tick(element) {
  const { since: from, until: to, after, before } = element.dataset;
  const text = from !== undefined
    ? duration((Date.now() - Date.parse(from)) / 1000) + after
    : soon(Math.ceil((Date.parse(to) - Date.now()) / 1000), before);
  if (element.textContent !== text) element.textContent = text;
}

const soon = (seconds, before) => (seconds > 0 ? before + duration(seconds) : `${before.replace(/ in $/, "")} now`);

export function tickAll() {
  document.querySelectorAll("[data-since],[data-until]").forEach(tick);
}

export function bar(weight) {
  const part = h("span", { class: "part" });
  part.style.width = `${weight}%`;
  return h("span", { class: "bar", "aria-hidden": "true" }, part);
}

export function badge(state, icon, phase) {
  return h("span", { class: `badge ${state}` }, h("span", { "aria-hidden": "true" }, icon), ` ${phase}`);
}
