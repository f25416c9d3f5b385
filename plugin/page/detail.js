// One Canary: where its release stands, how it came there, and what can be done.

import { VERBS, close, confirm, lookAgain } from "./actions.js";
import { Metric, VERDICTS, Weights } from "./charts.js";
import { badge, bar, clock, duration, h, moment, number, range, since, until } from "./dom.js";

const STANDS = { passed: ["✔", "passed"], waiting: ["◷", "waiting"], ahead: ["•", "not asked yet"] };

export class Detail {
  constructor(main, namespace, name, notices) {
    Object.assign(this, { namespace, name, notices, charts: new Map(), said: new Map() });
    const part = (id, ...rest) => {
      this[id] = h("div", { id: `part-${id}` });
      return [...rest, this[id]];
    };
    const section = (title, id) => h("section", { "aria-labelledby": `title-${id}` }, h("h2", { id: `title-${id}` }, title), ...part(id));
    this.weights = new Weights();
    main.replaceChildren(
      h("p", {}, h("a", { href: "/", "data-link": true, "data-back": true }, "← All Canaries")),
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, name, h("span", { class: "muted" }, ` ${namespace}`)), ...part("phase")),
      ...part("actions"), ...part("attention"), ...part("facts"),
      h("section", { "aria-labelledby": "title-weights" }, h("h2", { id: "title-weights" }, "Weight over time"), this.weights.element),
      section("Metrics", "metrics"), section("Gates", "gates"), section("Events", "events"), section("Releases", "history"));
    this.actions.classList.add("buttons");
    this.attention.setAttribute("role", "status");
    document.title = `${name} · ${namespace}`;
  }

  get source() {
    return `/api/canaries/${encodeURIComponent(this.namespace)}/${encodeURIComponent(this.name)}`;
  }

  on(name, data) {
    if (name === "detail") this.show(data);
    else if (name === "gone") this.absent("This Canary does not exist (any more), or is in another namespace than the dashboard's.");
    else if (name === "unreadable") this.absent(data.message);
  }

  absent(message) {
    close();
    this.said.clear();
    for (const part of [this.phase, this.actions, this.facts, this.metrics, this.gates, this.events, this.history]) part.replaceChildren();
    this.attention.replaceChildren(h("p", { class: "note bad" }, message));
  }

  // A part is drawn anew only if what it shows has changed.
  part(id, shown, draw) {
    const text = JSON.stringify(shown);
    if (this.said.get(id) === text) return;
    this.said.set(id, text);
    this[id].replaceChildren(...[draw()].flat(2).filter(Boolean));
  }

  show(detail) {
    this.detail = detail;
    const { release } = detail;
    this.part("phase", [detail.state, detail.icon, detail.phase], () => badge(detail.state, detail.icon, detail.phase));
    this.part("attention", [detail.attentions, detail.lastRequest], () => [attentions(detail), lastRequest(detail)]);
    this.part("facts", [detail.state, detail.traffic, detail.progress, detail.failedChecks, detail.nextCheckAt, release, detail.replicas, detail.primary], () => facts(detail));
    this.offer(detail);
    this.weights.update(detail.weights, detail.running ? undefined : release?.endedAt);
    this.measure(detail.metrics);
    this.part("gates", detail.gates, () => gates(detail.gates));
    this.part("events", [detail.events, detail.eventsUnread], () => events(detail));
    this.part("history", detail.history, () => history(detail.history));
    lookAgain(detail);
    this.announce(detail);
  }

  announce(detail) {
    const text = `${detail.name}: ${detail.phase}, canary ${detail.traffic.canary} %`;
    const live = document.getElementById("live");
    if (live.textContent !== text) live.textContent = text;
  }

  offer(detail) {
    const focused = document.activeElement?.dataset?.verb;
    this.part("actions", detail.offers, () => detail.offers.map((offer) => h("button", {
      type: "button", "data-verb": offer.verb, "aria-haspopup": "dialog", class: VERBS[offer.verb].grave ? "grave" : "",
      onclick: () => confirm(offer.verb, offer, this.detail, (verb, outcome) => this.notices(this.detail, verb, outcome)),
    }, VERBS[offer.verb].label)));
    if (focused && document.activeElement === document.body) {
      const same = this.actions.querySelector(`[data-verb="${focused}"]`);
      (same ?? document.querySelector("h1")).focus();
    }
  }

  measure(metrics) {
    this.part("metrics", metrics.map(({ name }) => name), () => {
      this.charts.forEach(({ chart }) => chart.end());
      this.charts = new Map(metrics.map(({ name }) => {
        const chart = new Metric(name);
        const line = h("p", { class: "verdict" });
        return [name, { chart, line, card: h("div", { class: "card" }, h("h3", {}, name), line, chart.element) }];
      }));
      if (!metrics.length) return h("p", { class: "muted" }, "No release has been analysed yet, or it has no metrics.");
      return h("div", { class: "cards" }, [...this.charts.values()].map(({ card }) => card));
    });
    for (const metric of metrics) {
      const { chart, line } = this.charts.get(metric.name);
      line.replaceChildren(...verdict(metric));
      chart.update(metric);
    }
  }

  // Time goes on in the chart too.
  second() {
    if (this.detail?.running) this.weights.update(this.detail.weights);
  }

  key(event) {
    if (event.key !== "Escape") return false;
    document.querySelector("[data-back]")?.click();
    return true;
  }

  end() {
    close();
    this.weights.end();
    this.charts.forEach(({ chart }) => chart.end());
  }
}

function attentions({ attentions: all }) {
  return all.map(({ type, message, hint }) => h("p", { class: "note bad" }, h("strong", {}, `! ${type}: `), message,
    hint ? h("span", { class: "muted" }, ` What helps: ${hint}`) : null));
}

function lastRequest({ lastRequest: request }) {
  if (!request) return null;
  const by = request.by ?? "unknown";
  const reason = request.reason ? `: ${request.reason}` : "";
  return h("p", { class: "note" }, h("strong", {}, "Last request: "), `${request.verb} by ${by}${reason}, `, since(request.at),
    `: ${request.outcome.toLowerCase()}${request.message ? `, ${request.message}` : ""}`);
}

function facts(detail) {
  const { release, traffic, progress, replicas } = detail;
  const list = [];
  const fact = (term, ...text) => { if (text.some(Boolean)) list.push(h("div", {}, h("dt", {}, term), h("dd", {}, ...text))); };
  fact("Traffic", bar(traffic.canary), `primary ${traffic.primary} %, canary ${traffic.canary} %`,
    traffic.source === "status" ? h("span", { class: "muted" }, " (as the controller says)") : "");
  if (release) {
    const ended = release.endedAt ? [`, ended `, since(release.endedAt)] : [];
    fact(detail.running ? "Release" : "Last release", `${release.number} by ${release.by ?? "unknown"}, started `, since(release.startedAt), ...ended,
      release.message ? `: ${release.message}` : "");
    fact("Change", detail.images || "the same images, another template");
    fact("Revision", h("code", {}, release.revision), release.from ? [" from ", h("code", {}, release.from)] : "");
    if (detail.running && release.paused) {
      const reason = release.paused.reason ? `: ${release.paused.reason}` : "";
      fact("Paused", since(release.paused.since), ` by ${release.paused.by ?? "unknown"}${reason}; ${duration((release.paused.remainingMs + 999) / 1000)} of the step remain`, release.paused.until ? ["; ", until(release.paused.until, "it resumes in ")] : "");
    }
    if (detail.running && release.waitingFor) fact("Waiting for", release.waitingFor);
  }
  if (detail.running) {
    const steps = progress ? `${progress.current} of ${progress.of}, then ${progress.nextWeight !== undefined ? `${progress.nextWeight} %` : "promotion"}` : "";
    fact("Step", steps, steps && detail.nextCheckAt ? ", " : "", detail.nextCheckAt ? until(detail.nextCheckAt) : "");
    fact("Failed checks", h("span", { class: detail.failedChecks > 0 ? "bad" : "" }, `${detail.failedChecks} of ${detail.threshold}`));
  }
  const pods = (side) => (replicas[side] ? `${side} ${replicas[side].ready}/${replicas[side].desired} ready` : "");
  fact("Replicas", [pods("primary"), pods("canary")].filter(Boolean).join(", "));
  fact("Primary runs", detail.primary.join(", "));
  fact("Target", `${detail.target}, provider ${detail.provider}, strategy ${detail.strategy}`);
  return h("dl", { class: "facts" }, list);
}

function verdict({ last, min, max }) {
  const bounds = h("span", { class: "muted" }, ` range ${range({ min, max })}`);
  if (!last) return [h("span", {}, "• not checked yet"), bounds];
  const good = last.verdict === "Passed";
  const why = last.message ? `: ${last.message}` : "";
  return [h("strong", {}, number(last.value)), " ", h("span", { class: good ? "good" : "bad" }, `${good ? "✔" : "✖"} ${VERDICTS[last.verdict]}${why}`), bounds];
}

function gates(all) {
  if (!all.length) return h("p", { class: "muted" }, "No gate holds its releases.");
  return h("ul", { class: "plain" }, all.map(({ name, kind, state }) => h("li", { class: state },
    h("span", { "aria-hidden": "true" }, STANDS[state][0]), ` ${name} `, h("span", { class: "muted" }, kind), `: ${STANDS[state][1]}`)));
}

function events({ events: all, eventsUnread }) {
  if (eventsUnread) return h("p", { class: "note bad" }, `Events cannot be read: ${eventsUnread}`);
  if (!all.length) return h("p", { class: "muted" }, "No Events; the cluster keeps them for an hour or so.");
  return h("ol", { class: "plain events" }, all.map(({ at, warning, count, text }) => h("li", {},
    h("time", { datetime: at, title: moment(at), class: "muted" }, clock(at)), " ",
    warning ? h("strong", { class: "bad" }, "Warning ") : null, text, count > 1 ? ` (${count} times)` : null)));
}

function history(all) {
  if (!all.length) return h("p", { class: "muted" }, "No release has ended yet.");
  const heads = ["Release", "Outcome", "Change", "By", "Ended", "Took", "Revision"];
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Releases that have ended" },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, all.map((past) => h("tr", {},
        h("th", { scope: "row" }, String(past.number)),
        h("td", {}, h("span", { class: past.good ? "good" : "bad" }, `${past.good ? "✔" : "✖"} ${past.outcome}`), ` at ${past.weight} %`,
          past.message ? h("span", { class: "small muted" }, past.message) : null),
        h("td", {}, past.images), h("td", {}, past.by ?? "unknown"), h("td", {}, since(past.endedAt)),
        h("td", {}, duration((Date.parse(past.endedAt) - Date.parse(past.startedAt)) / 1000)), h("td", {}, h("code", {}, past.revision)))))));
}
