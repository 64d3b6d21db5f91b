"use strict";
// Draws the figures that the page has places for, as wide as their places.
const Page = (() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("report-data"), model = read("report-model");
  const C = Charts, k = data.domains.length;
  const ROW = 30, LETTER = 6.4;
  let target = 0;

  function extent(values, pad) {
    const finite = values.filter(Number.isFinite);
    if (!finite.length) return [0, 1];
    const low = Math.min(...finite), high = Math.max(...finite);
    const room = (high - low || Math.abs(high) || 1) * pad;
    return [low - room, high + room];
  }

  function logExtent(values) {
    const [low, high] = extent(values.map(Math.log), 0.06);
    return [Math.exp(low), Math.exp(high)];
  }

  const groups = (points) => [[points.filter((p) => p[2]), "fitted"],
    [points.filter((p) => !p[2]), "held"]];

  function legend(svg, x, y) {
    if (data.rows.fitted.every(Boolean)) return;
    [["fitted", "fitted"], ["held", "held out"]].forEach(([kind, name], i) => {
      C.dots(svg, [[x + 62 * i, y - 4]], kind, 7);
      svg.append(C.label(x + 62 * i + 8, y, name));
    });
  }

  function observed(place, width) {
    const rows = data.rows, seen = rows.observed[target], said = rows.predicted[target];
    const right = width - 12, bottom = 280;
    const svg = C.picture(width, 320, `Observed against predicted loss of ${data.targets[target]}`);
    const both = [...seen, ...said].filter((v) => v !== null), [low, high] = extent(both, 0.04);
    const x = C.scale(low, high, 48, right), y = C.scale(low, high, bottom, 24);
    C.axes(svg, x, y, [48, 24, right, bottom], { x: "observed", y: "predicted" },
      { x: C.plain, y: C.plain });
    C.line(svg, [[x(low), y(low)], [x(high), y(high)]], { class: "zero" });
    const points = seen.map((v, i) => [v, said[i], rows.fitted[i]])
      .filter((p) => p[0] !== null && p[1] !== null);
    for (const [some, kind] of groups(points))
      C.dots(svg, some.map((p) => [x(p[0]), y(p[1])]), kind, 4.5);
    legend(svg, right - 140, bottom - 8);
    svg.append(C.label(right, 16, C.lines(data.targets[target], 30)[0],
      { "text-anchor": "end", class: "name" }));
    place.replaceChildren(svg);
  }

  function residual(place, width, axis) {
    const rows = data.rows, log = axis === "n" || axis === "d", small = !log;
    const values = log ? rows[axis] : rows.mixture.map((m) => rows.mixtures[m][+axis]);
    const name = { n: "parameters", d: "tokens" }[axis] || data.domains[+axis];
    const height = small ? 190 : 320, right = width - 12;
    const svg = C.picture(width, height, `Relative error against ${name}`);
    const points = rows.observed[target].map((v, i) => {
      const said = rows.predicted[target][i];
      return [values[i], v === null || said === null ? NaN : (100 * (v - said)) / said,
        rows.fitted[i]];
    }).filter((p) => Number.isFinite(p[1]));
    const [low, high] = extent(points.map((p) => p[1]), 0.06);
    const span = log ? logExtent(values) : extent(values, 0.04);
    const x = C.scale(...span, 44, right, log), y = C.scale(low, high, height - 40, 22);
    C.axes(svg, x, y, [44, 22, right, height - 40], { x: C.lines(name, 34)[0], y: "error, %" },
      { x: log ? C.size : C.percent, y: C.plain });
    if (low < 0 && high > 0) C.line(svg, [[44, y(0)], [right, y(0)]], { class: "zero" });
    const inside = (v) => Math.min(right, Math.max(44, v));
    for (const [some, kind] of groups(points))
      C.dots(svg, some.map((p, i) => [inside(x(p[0]) + ((i * 7) % 11) / 2 - 2.5), y(p[1])]), kind,
        small ? 3 : 4);
    place.replaceChildren(svg);
  }

  // One row per domain: a bar, dots, marks of other mixtures, and the mixture itself.
  function byDomain(place, width, p, title) {
    const top = p.baselines.length ? 26 + 18 * legendRows(p.baselines, width) : 16;
    const longest = Math.max(...data.domains.map((d) => d.length));
    const most = Math.floor(Math.min(longest * LETTER, 0.36 * width) / LETTER);
    const left = most * LETTER + 16, right = width - 46, bottom = top + ROW * k;
    const svg = C.picture(width, bottom + 40, title);
    const reach = [p.weights, p.high || [], ...p.cloud, ...p.baselines.map((b) => b.weights)].flat();
    const x = C.scale(0, Math.min(1, Math.max(...reach) * 1.06), left, right);
    const none = Object.assign(C.scale(0, 1, bottom, bottom - 1), { low: 1, high: 0 });
    C.axes(svg, x, none, [left, top - 6, right, bottom], { x: "weight", y: "" },
      { x: C.percent, y: () => "" });
    drawLegend(svg, p.baselines, width);
    data.domains.forEach((domain, i) => {
      const y = top + ROW * (i + 0.5);
      C.named(svg, left - 10, y, domain, most, { "text-anchor": "end", class: "name" });
      if (p.low) C.line(svg, [[x(p.low[i]), y], [x(p.high[i]), y]], { class: p.bar });
      C.dots(svg, p.cloud.map((h, j) => [x(h[i]), y + ((j * 5) % 13) - 6]), p.dots, 3.5);
      p.baselines.forEach((b, j) => mark(svg, x(b.weights[i]), y, j));
      svg.append(C.element("circle", { class: "best", cx: x(p.weights[i]), cy: y, r: 6 },
        C.element("title", {}, `${domain}: ${C.percent(p.weights[i])}`)));
      svg.append(C.label(width - 2, y + 4, C.percent(p.weights[i]),
        { "text-anchor": "end", class: "name value" }));
    });
    place.replaceChildren(svg);
  }

  const legendWidth = (b) => 24 + LETTER * Math.min(b.name.length, 30);

  function legendPlaces(baselines, width) {
    let x = 8, row = 0;
    return baselines.map((b) => {
      if (x > 8 && x + legendWidth(b) > width) { x = 8; row += 1; }
      const at = [x, row];
      x += legendWidth(b) + 10;
      return at;
    });
  }
  const legendRows = (baselines, width) => 1 + Math.max(...legendPlaces(baselines, width).map((p) => p[1]));
  function drawLegend(svg, baselines, width) {
    legendPlaces(baselines, width).forEach(([x, row], j) =>
      mark(svg, x, 10 + 18 * row, j, C.lines(baselines[j].name, 30)[0]));
  }

  function mark(svg, x, y, kind, name) {
    const shapes = ["M-4 -4h8v8h-8z", "M0 -5l5 9h-10z", "M0 -6l5 6l-5 6l-5 -6z",
      "M-4.5 0h9M0 -4.5v9", "M-4 -4l8 8M-4 4l8 -8"];
    svg.append(C.element("path", { class: "mark", d: shapes[kind % shapes.length],
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` }));
    if (name) svg.append(C.label(x + 9, y + 4, name));
  }

  const proposal = (place, width) => byDomain(place, width, { weights: model.proposed,
    low: model.least, high: model.most, bar: "range", cloud: [], dots: "", baselines: model.baselines },
    "The recommended weights, the range that was run, and other mixtures");
  const intervals = (place, width) => byDomain(place, width, { ...data.proposal, bar: "span",
    dots: "cloud" }, "The confidence set of the law's optimum");
  const covered = (place, width) => byDomain(place, width, { weights: model.proposed, low: null,
    high: null, bar: "", cloud: model.run, dots: "run", baselines: [] },
    "The weights of all mixtures that were run, and the recommended ones");

  function ternary(place, wide) {
    const p = data.proposal, side = p.ternary.side, width = Math.min(wide, 440);
    const edge = width - 110, left = 55, top = 30, tall = (edge * Math.sqrt(3)) / 2;
    const at = (h) => [left + edge * (h[1] + h[2] / 2), top + tall * (1 - h[2])];
    const svg = C.picture(width, top + tall + 34, "Confidence set on the simplex");
    const inside = new Set(p.ternary.inside);
    let index = 0, d = "";
    const cell = (i, j, up) => {
      if (!inside.has(index++)) return;
      const corners = up ? [[i, j], [i + 1, j], [i, j + 1]] : [[i + 1, j + 1], [i + 1, j], [i, j + 1]];
      d += corners.map(([a, b], n) => {
        const [x, y] = at([a / side, b / side, 1 - (a + b) / side]);
        return `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      }).join("") + "z";
    };
    for (let i = 0; i < side; i++) for (let j = 0; j < side - i; j++) cell(i, j, true);
    for (let i = 0; i < side - 1; i++) for (let j = 0; j < side - 1 - i; j++) cell(i, j, false);
    svg.append(C.element("path", { class: "set", d }));
    C.line(svg, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]].map(at), { class: "axis" });
    C.dots(svg, p.cloud.map(at), "cloud", 4);
    C.dots(svg, model.run.map(at), "run", 3.5);
    p.baselines.forEach((b, j) => mark(svg, ...at(b.weights), j));
    const [x, y] = at(p.weights);
    svg.append(C.element("circle", { class: "best", cx: x, cy: y, r: 6.5 }));
    const most = Math.floor(width / 2 / LETTER);
    [[8, top + tall + 20, "start"], [width - 8, top + tall + 20, "end"], [width / 2, 10, "middle"]]
      .forEach(([nx, ny, anchor], i) =>
        C.named(svg, nx, ny, data.domains[i], most, { class: "name", "text-anchor": anchor }));
    place.replaceChildren(svg);
  }

  // The best mixture along sizes at the tokens per parameter of the sliders.
  function path(place, width) {
    const s = model.surface, over = s.n.length > 1 ? "n" : "d", axis = s[over];
    const home = Page?.at || { n: model.n, d: model.d }, count = 61, points = [];
    for (let i = 0; i < count; i++) {
      const v = axis[0] * (axis[axis.length - 1] / axis[0]) ** (i / (count - 1));
      const n = over === "n" ? v : home.n, d = over === "n" ? (home.d / home.n) * v : v;
      points.push([v, Table.budget(s, n, d).weights]);
    }
    const lines = { axis, points, at: home[over], seen: model.range[over][1],
      name: over === "n" ? "parameters" : "tokens",
      high: Math.min(1, 1.08 * Math.max(...points.flatMap((q) => (q[1] ? q[1] : [0])))) };
    place.replaceChildren(...(k <= C.COLORS ? [together(lines, width)] :
      data.domains.map((_, i) => alone(lines, i, Math.min(width, 210)))));
    place.classList.toggle("many", k > C.COLORS);
  }

  function curve(svg, l, x, y, i, style) {
    const known = l.points.filter((q) => q[1]).map(([v, h]) => [x(v), y(h[i]), v]);
    const inside = known.filter((q) => q[2] <= l.seen * 1.001);
    const beyond = known.slice(Math.max(0, inside.length - 1));
    if (inside.length > 1) C.line(svg, inside, style);
    if (beyond.length > 1) C.line(svg, beyond, { ...style, "stroke-dasharray": "4 4" });
    return known.length ? known[known.length - 1][1] : y(0);
  }

  const standing = (svg, x, at, top, bottom) => {
    if (at >= x.low * 0.999 && at <= x.high * 1.001)
      C.line(svg, [[x(at), top], [x(at), bottom]], { class: "zero" });
  };

  function together(l, width) {
    const longest = Math.max(...data.domains.map((d) => d.length));
    const most = Math.floor(Math.min(longest * LETTER, 0.3 * width) / LETTER);
    const height = 360, left = 44, right = width - most * LETTER - 34, bottom = height - 40;
    const svg = C.picture(width, height, `Best weights against ${l.name}`);
    const x = C.scale(l.axis[0], l.axis[l.axis.length - 1], left, right, true);
    const y = C.scale(0, l.high, bottom, 26);
    C.axes(svg, x, y, [left, 26, right, bottom], { x: l.name, y: "best weight" },
      { x: C.size, y: C.percent });
    standing(svg, x, l.at, 26, bottom);
    const ends = data.domains.map((_, i) =>
      curve(svg, l, x, y, i, { stroke: C.color(i), "stroke-width": 2.2 }));
    C.spread(ends, 26, 30, bottom).forEach((at, i) => {
      C.line(svg, [[right + 2, ends[i]], [right + 12, at], [right + 22, at]],
        { stroke: C.color(i), "stroke-width": 2.2 });
      C.named(svg, right + 27, at, data.domains[i], most, { class: "name" });
    });
    return svg;
  }

  function alone(l, i, width) {
    const height = 128, left = 38, right = width - 10, bottom = height - 26;
    const svg = C.picture(width, height, `Best weight of ${data.domains[i]} against ${l.name}`);
    const x = C.scale(l.axis[0], l.axis[l.axis.length - 1], left, right, true);
    const y = C.scale(0, l.high, bottom, 26);
    C.axes(svg, x, y, [left, 26, right, bottom], { x: "", y: "" }, { x: C.size, y: C.percent });
    standing(svg, x, l.at, 26, bottom);
    curve(svg, l, x, y, i, { class: "lone", "stroke-width": 2.2 });
    C.named(svg, left, 10, data.domains[i], Math.floor((width - left) / LETTER), { class: "name" });
    return svg;
  }

  const WIDEST = { proposal: 560, intervals: 560, covered: 640, ternary: 440, path: 760,
    observed: 420, residual: 420 };
  const charts = { proposal, intervals, covered, ternary, path, observed, residual };

  function draw(figure) {
    const place = figure.querySelector(".drawing"), { chart, axis } = figure.dataset;
    const width = Math.max(210, Math.min(place.clientWidth || 250, WIDEST[chart]));
    charts[chart](place, width, axis);
  }

  const figures = () => [...document.querySelectorAll("[data-chart]")];
  const redraw = (...kinds) => figures().filter((f) => kinds.includes(f.dataset.chart)).forEach(draw);

  function start() {
    figures().forEach(draw);
    const chooser = document.getElementById("target");
    chooser?.addEventListener("change", () => {
      target = +chooser.value;
      redraw("observed", "residual");
    });
    document.querySelectorAll("details").forEach((d) =>
      d.addEventListener("toggle", () => d.querySelectorAll("[data-chart]").forEach(draw)));
    let waiting = null, wide = document.documentElement.clientWidth;
    window.addEventListener("resize", () => {
      clearTimeout(waiting);
      if (document.documentElement.clientWidth === wide) return;
      wide = document.documentElement.clientWidth;
      waiting = setTimeout(() => figures().forEach(draw), 120);
    });
  }

  function theme() {
    const root = document.documentElement, button = document.getElementById("theme");
    const dark = () => root.dataset.theme ? root.dataset.theme === "dark" :
      matchMedia("(prefers-color-scheme: dark)").matches;
    const show = () => {
      button.textContent = dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `Show in ${dark() ? "light" : "dark"} colors`);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      show();
    });
    show();
  }

  return { data, model, start, theme, redraw, at: null };
})();

// Optima that were computed when the page was made, and what lies between them.
const Table = (() => {
  const blend = (a, b, u) => a.map((x, i) => (u === 0 ? x : u === 1 ? b[i] : (1 - u) * x + u * b[i]));

  function place(axis, value, log) {
    if (axis.length === 1) return [0, 0];
    let i = 0;
    while (i < axis.length - 2 && axis[i + 1] < value) i++;
    const f = log ? Math.log : (x) => x;
    const u = (f(value) - f(axis[i])) / (f(axis[i + 1]) - f(axis[i]));
    return [i, Math.min(1, Math.max(0, u))];
  }

  const known = (h) => h.every((x) => x !== null);

  // Weights at N and D; rough where they are those of the nearest computed budget, null if no
  // mixture was found there that meets the limits.
  function budget(s, n, d) {
    const [i, u] = place(s.n, n, true), [j, v] = place(s.d, d, true);
    const up = Math.min(i + 1, s.n.length - 1), right = Math.min(j + 1, s.d.length - 1);
    const corners = [s.weights[i][j], s.weights[i][right], s.weights[up][j], s.weights[up][right]];
    const outside = [["n", n], ["d", d]].some(([name, x]) => s[name].length > 1 &&
      (x < s[name][0] * 0.999 || x > s[name][s[name].length - 1] * 1.001));
    if (s.rough[i][j] || !corners.every(known)) {
      const near = corners[2 * (u > 0.5) + (v > 0.5)];
      return { weights: known(near) && !outside ? near : null, rough: true };
    }
    const h = blend(blend(corners[0], corners[1], v), blend(corners[2], corners[3], v), u);
    return { weights: outside ? null : h, rough: false };
  }

  function limited(curve, limit) {
    const [i, u] = place(curve.limit, limit, false);
    const [a, b] = [curve.weights[i], curve.weights[Math.min(i + 1, curve.weights.length - 1)]];
    const rough = Boolean(curve.rough[i]) && u > 0 && u < 1;
    return { weights: rough ? (u > 0.5 ? b : a) : blend(a, b, u), rough };
  }

  return { budget, limited };
})();
Page.start();
Page.theme();
