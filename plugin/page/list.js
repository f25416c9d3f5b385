// All Canaries: counters that filter, a search, a table.

import { badge, bar, h, since, until } from "./dom.js";
import { STATES, counts, fromAddress, isIn, matcher, toAddress } from "./search.js";

// So many are there at the first paint; the others follow at once.
const FIRST = 60;

const idOf = ({ namespace, name }) => `${namespace}/${name}`;

export class List {
  constructor(main) {
    this.shown = new Map();
    this.filter = fromAddress(location.search);
    this.search = h("input", {
      type: "search", id: "search", placeholder: "Search", "aria-label": "Search", autocomplete: "off", spellcheck: "false",
      oninput: () => this.choose({ query: this.search.value.trim() }),
    });
    this.search.value = this.filter.query;
    this.counters = new Map(STATES.map(([state, label]) => {
      const number = h("span", { class: "count" }, "0");
      const button = h("button", {
        type: "button", "aria-pressed": "false", "data-state": state, onclick: () => this.choose({ state }),
      }, number, ` ${label}`);
      return [state, { number, button }];
    }));
    this.body = h("tbody");
    this.nothing = h("p", { class: "muted", hidden: true });
    const heads = ["Canary", "Status", "Traffic", "Step", "Change", "By", "Since"];
    const classes = ["name", "status", "traffic", "step", "change", "by", "since"];
    const table = h("table", { class: "list", "aria-label": "Canaries" },
      h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: classes[i] }, head)))),
      this.body);
    main.replaceChildren(
      h("h1", { class: "hidden" }, "Canaries"),
      h("div", { class: "tools" },
        h("div", { class: "counters", role: "group", "aria-label": "Filter by state" },
          [...this.counters.values()].map(({ button }) => button)),
        this.search),
      table, this.nothing);
    document.title = "Canaries";
  }

  get source() {
    return "/api/canaries";
  }

  on(name, data) {
    if (name === "list") this.all(data);
    else if (name === "row") this.one(data);
    else if (name === "gone") this.gone(data);
  }

  all(rows) {
    this.late = null;
    const focused = document.activeElement?.closest("tbody a")?.getAttribute("href");
    this.shown = new Map(rows.map((row) => [idOf(row), { row }]));
    const [now, later] = [rows.slice(0, FIRST), rows.slice(FIRST)];
    this.body.replaceChildren(...now.map((row) => this.make(row)));
    this.sift();
    const focus = () => focused && this.body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    focus();
    if (!later.length) return;
    const late = this.late = () => {
      if (this.late !== late) return;
      this.late = null;
      this.body.append(...[...this.shown.values()].filter(({ tr }) => !tr).map(({ row }) => this.make(row)));
      this.sift();
      if (document.activeElement === document.body) focus();
    };
    requestAnimationFrame(() => setTimeout(late));
  }

  make(row) {
    const entry = this.shown.get(idOf(row));
    entry.row = row;
    entry.tr = h("tr");
    this.fill(entry);
    return entry.tr;
  }

  one(row) {
    const known = this.shown.get(idOf(row));
    if (known) {
      known.row = row;
      if (known.tr) this.fill(known);
    } else {
      this.late?.();
      this.shown.set(idOf(row), { row });
      const tr = this.make(row);
      const order = (one) => [one.namespace, one.name];
      const after = [...this.shown.values()]
        .filter((other) => other.tr !== tr && order(other.row) > order(row))
        .sort((a, b) => (order(a.row) < order(b.row) ? -1 : 1))[0];
      this.body.insertBefore(tr, after?.tr ?? null);
    }
    this.sift();
  }

  gone(row) {
    this.shown.get(idOf(row))?.tr?.remove();
    this.shown.delete(idOf(row));
    this.sift();
  }

  // The link stays the same element: whoever has moved to it stays there.
  fill(entry) {
    const { row, tr } = entry;
    entry.link ??= h("a", { href: `/canaries/${encodeURIComponent(row.namespace)}/${encodeURIComponent(row.name)}`, "data-link": true }, row.name);
    const step = [];
    if (row.progress) step.push(`${row.progress.current} of ${row.progress.of}`);
    if (row.failedChecks > 0) step.push(h("span", { class: "bad" }, `${row.failedChecks} of ${row.threshold} failed`));
    if (row.nextCheckAt) step.push(until(row.nextCheckAt));
    const cells = [
      h("th", { scope: "row", class: "name" }, entry.link, h("span", { class: "muted small" }, row.namespace)),
      h("td", { class: "status" }, badge(row.state, row.icon, row.phase),
        row.attention ? h("span", { class: "small attention", title: row.attention }, `! ${row.attention}`) : null),
      h("td", { class: "traffic" }, bar(row.weight), `${row.weight} %`),
      h("td", { class: "step" }, step.map((part, i) => h("span", {}, part, i < step.length - 1 ? ", " : ""))),
      h("td", { class: "change" }, row.images),
      h("td", { class: "by" }, row.by ?? ""),
      h("td", { class: "since" }, row.since ? since(row.since, "") : ""),
    ];
    const focused = document.activeElement === entry.link;
    tr.replaceChildren(...cells);
    if (focused) entry.link.focus();
  }

  choose(part) {
    this.filter = { ...this.filter, ...part };
    history.replaceState(null, "", toAddress(this.filter));
    this.sift();
  }

  sift() {
    const fits = matcher(this.filter.query);
    const entries = [...this.shown.values()];
    let visible = 0;
    for (const { row, tr } of entries) {
      const shows = isIn(row, this.filter.state) && fits(row);
      if (tr) tr.hidden = !shows;
      visible += shows;
    }
    const count = counts(entries.map(({ row }) => row).filter(fits));
    for (const [state, { number, button }] of this.counters) {
      number.textContent = count[state];
      button.setAttribute("aria-pressed", String(state === this.filter.state));
    }
    this.nothing.hidden = visible > 0;
    this.nothing.textContent = entries.length ? "No Canary fits the filter." : "No canaries found.";
  }

  key(event) {
    const searching = document.activeElement === this.search;
    if (event.key === "/" && !searching) {
      this.search.focus();
      this.search.select();
    } else if (event.key === "Escape" && searching) {
      this.search.value = "";
      this.choose({ query: "" });
      this.search.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.move(event.key === "ArrowDown" ? 1 : -1);
    } else {
      return false;
    }
    return true;
  }

  move(by) {
    const links = [...this.body.querySelectorAll("tr:not([hidden]) a")];
    const at = links.indexOf(document.activeElement);
    if (at < 0 && by < 0) return;
    if (at === 0 && by < 0) this.search.focus();
    else links[Math.min(at + by, links.length - 1)]?.focus();
  }

  end() {
    this.late = null;
  }
}
