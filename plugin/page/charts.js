// Weights and metrics over time, drawn by uPlot; the same values stand in a table below each chart.

import { clock, h, number, range } from "./dom.js";

const HEIGHT = 150;

// A custom property as a colour that a canvas understands.
function colour(name) {
  const probe = h("span", { hidden: true });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const seconds = (time) => Date.parse(time) / 1000;

// One value alone has half a minute before it.
function span(times) {
  const end = times.at(-1) ?? Date.now() / 1000;
  const start = Math.min(times[0] ?? end, end - 30);
  return [start, end + (end - start) * 0.03];
}

class Chart {
  constructor(label) {
    this.label = label;
    this.plot = h("div", { class: "plot", role: "img" });
    this.rows = h("tbody");
    this.element = h("div", { class: "chart" }, this.plot,
      h("details", {}, h("summary", {}, "Values"), h("table", { "aria-label": label }, this.head(), this.rows)));
    this.size = new ResizeObserver(() => this.u?.setSize({ width: this.width(), height: HEIGHT }));
    this.size.observe(this.plot);
    this.theme = () => this.draw(true);
    document.addEventListener("theme", this.theme);
  }

  width() {
    return Math.max(this.plot.clientWidth, 160);
  }

  // Anew where colours or bounds have changed, otherwise only the values.
  draw(anew) {
    if (!this.data || !this.element.isConnected) return;
    if (this.u && !anew) {
      this.u.setData(this.data);
      return;
    }
    this.u?.destroy();
    const text = colour("--muted");
    const grid = { stroke: colour("--border"), width: 1 };
    const axis = { stroke: text, grid, ticks: grid, font: "11px system-ui, sans-serif" };
    this.u = new uPlot({
      width: this.width(), height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      padding: [8, 12, 0, 0],
      axes: [
        { ...axis, space: 90, values: (_, all) => all.map((at) => clock(at * 1000)) },
        { ...axis, size: 52 },
      ],
      ...this.options(),
    }, this.data, this.plot);
  }

  end() {
    this.size.disconnect();
    document.removeEventListener("theme", this.theme);
    this.u?.destroy();
  }
}

export class Weights extends Chart {
  constructor() {
    super("Weight of the canary over time");
  }

  head() {
    return h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), h("th", { scope: "col" }, "Canary")));
  }

  options() {
    const line = colour("--accent");
    return {
      scales: { y: { range: [0, 100] } },
      series: [{}, { stroke: line, width: 2, fill: colour("--shade"), paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }],
    };
  }

  update(weights, end) {
    const last = weights.at(-1);
    if (!last) return;
    const times = weights.map(({ at }) => seconds(at));
    const until = Math.max(end ? seconds(end) : Date.now() / 1000, times.at(-1) + 1);
    this.data = [[...times, until], [...weights.map(({ weight }) => weight), last.weight]];
    this.plot.setAttribute("aria-label", `${this.label}: ${weights.slice(-12).map(({ at, weight }) => `${weight} % from ${clock(at)}`).join(", ")}`);
    this.rows.replaceChildren(...weights.toReversed().map(({ at, weight }) =>
      h("tr", {}, h("td", {}, clock(at)), h("td", {}, `${weight} %`))));
    this.draw(false);
  }
}

export class Metric extends Chart {
  constructor(name) {
    super(name);
  }

  head() {
    return h("thead", {}, h("tr", {}, ["At", "Value", "Verdict"].map((text) => h("th", { scope: "col" }, text))));
  }

  options() {
    return {
      scales: { x: { range: () => span(this.data[0]) }, y: { range: (_, low, high) => this.extent(low, high) } },
      series: [{}, { stroke: colour("--accent"), width: 2, points: { show: false } }],
      hooks: { drawClear: [(u) => this.drawRange(u)], draw: [(u) => this.drawPoints(u)] },
    };
  }

  // The bounds are always in sight.
  extent(low, high) {
    const all = [low, high, this.min, this.max].filter((value) => Number.isFinite(value));
    if (!all.length) return [0, 1];
    const [from, to] = [Math.min(...all), Math.max(...all)];
    const margin = (to - from || Math.abs(to) || 1) * 0.1;
    return [from >= 0 ? Math.max(0, from - margin) : from - margin, to + margin];
  }

  // What passes is shaded, between dashed bounds.
  drawRange(u) {
    const { ctx, bbox } = u;
    const y = (value, other) => (value === undefined ? other : Math.min(Math.max(u.valToPos(value, "y", true), bbox.top), bbox.top + bbox.height));
    const [top, bottom] = [y(this.max, bbox.top), y(this.min, bbox.top + bbox.height)];
    ctx.save();
    ctx.fillStyle = colour("--passes");
    ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
    ctx.strokeStyle = colour("--good");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([6, 4]);
    for (const [bound, at] of [[this.max, top], [this.min, bottom]]) {
      if (bound === undefined) continue;
      ctx.beginPath();
      ctx.moveTo(bbox.left, at);
      ctx.lineTo(bbox.left + bbox.width, at);
      ctx.stroke();
    }
    ctx.restore();
  }

  // A dot where a check passed, a cross where it failed: told by shape as well as by colour.
  drawPoints(u) {
    const { ctx } = u;
    const size = 3.5 * devicePixelRatio;
    const [passed, failed] = [colour("--accent"), colour("--bad")];
    ctx.save();
    ctx.lineWidth = 2 * devicePixelRatio;
    for (const { at, value, verdict } of this.values) {
      if (value === null) continue;
      const [x, y] = [u.valToPos(seconds(at), "x", true), u.valToPos(value, "y", true)];
      ctx.beginPath();
      if (verdict === "Passed") {
        ctx.fillStyle = passed;
        ctx.arc(x, y, size, 0, 2 * Math.PI);
        ctx.fill();
      } else {
        ctx.strokeStyle = failed;
        ctx.moveTo(x - size, y - size);
        ctx.lineTo(x + size, y + size);
        ctx.moveTo(x + size, y - size);
        ctx.lineTo(x - size, y + size);
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  update({ name, min, max, values }) {
    const anew = min !== this.min || max !== this.max;
    Object.assign(this, { min, max, values });
    const times = values.map(({ at }) => seconds(at));
    this.data = [times, values.map(({ value }) => value)];
    const last = values.at(-1);
    const said = last ? `${values.length} values, the last ${number(last.value)}` : "no values yet";
    this.plot.setAttribute("aria-label", `${name} over time, ${said}, range ${range({ min, max })}`);
    this.rows.replaceChildren(...values.toReversed().map(({ at, value, verdict, estimated }) =>
      h("tr", {}, h("td", {}, `${estimated ? "≈ " : ""}${clock(at)}`), h("td", {}, number(value)), h("td", {}, VERDICTS[verdict] ?? verdict))));
    this.draw(anew);
  }
}

export const VERDICTS = { Passed: "passed", Failed: "failed", NoValues: "no values", Error: "error" };
