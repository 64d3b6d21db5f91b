"use strict";
// Draws the figures that the page has places for.
const Page = (() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("report-data"), model = read("report-model");
  const C = Charts;

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

  // Points [x, y, fitted] of the target; a little to the side where many share an x.
  function groups(points) {
    return [
      [points.filter((p) => p[2]), "fitted"],
      [points.filter((p) => !p[2]), "held"],
    ];
  }

  function legend(svg, x, y) {
    if (data.rows.fitted.every(Boolean)) return;
    [["fitted", "fitted"], ["held", "held out"]].forEach(([kind, name], i) => {
      C.dots(svg, [[x + 70 * i, y - 4]], kind, 7);
      svg.append(C.label(x + 70 * i + 8, y, name));
    });
  }

  function observed(place, target) {
    const rows = data.rows, seen = rows.observed[target], said = rows.predicted[target];
    const svg = C.picture(360, 320, `Observed against predicted loss of ${data.targets[target]}`);
    const both = [...seen, ...said].filter((v) => v !== null), [low, high] = extent(both, 0.04);
    const x = C.scale(low, high, 48, 350), y = C.scale(low, high, 280, 24);
    C.axes(svg, x, y, [48, 24, 350, 280], { x: "observed", y: "predicted" },
      { x: C.plain, y: C.plain });
    C.line(svg, [[x(low), y(low)], [x(high), y(high)]], { class: "zero" });
    const points = seen.map((v, i) => [v, said[i], rows.fitted[i]])
      .filter((p) => p[0] !== null && p[1] !== null);
    for (const [some, kind] of groups(points))
      C.dots(svg, some.map((p) => [x(p[0]), y(p[1])]), kind, 4.5);
    legend(svg, 210, 272);
    svg.append(C.label(350, 16, clip(data.targets[target], 30),
      { "text-anchor": "end", class: "name" }));
    place.replaceChildren(svg);
  }

  function residual(place, target, axis) {
    const rows = data.rows, log = axis === "n" || axis === "d", small = !log;
    const values = log ? rows[axis] : rows.mixture.map((m) => rows.mixtures[m][+axis]);
    const name = { n: "N", d: "D" }[axis] || data.domains[+axis];
    const width = small ? 250 : 360, height = small ? 190 : 320, right = width - 8;
    const svg = C.picture(width, height, `Relative error against ${name}`);
    const points = rows.observed[target].map((v, i) => {
      const said = rows.predicted[target][i];
      return [values[i], v === null || said === null ? NaN : (100 * (v - said)) / said,
        rows.fitted[i]];
    }).filter((p) => Number.isFinite(p[1]));
    const [low, high] = extent(points.map((p) => p[1]), 0.06);
    const span = log ? logExtent(values) : extent(values, 0.04);
    const x = C.scale(...span, 44, right, log), y = C.scale(low, high, height - 40, 22);
    C.axes(svg, x, y, [44, 22, right, height - 40], { x: name, y: "error, %" },
      { x: log ? C.size : C.percent, y: C.plain });
    C.line(svg, [[44, y(0)], [right, y(0)]], { class: "zero" });
    for (const [some, kind] of groups(points))
      C.dots(svg, some.map((p, i) => [x(p[0]) + ((i * 7) % 11) / 2 - 2.5, y(p[1])]), kind,
        small ? 3 : 4);
    place.replaceChildren(svg);
  }

  function intervals(place, p = data.proposal) {
    const k = data.domains.length, step = 30, top = 34;
    const nameWidth = 120, width = 520, right = width - 12;
    const svg = C.picture(width, top + step * k + 46, "Weights of the proposal with intervals");
    const reach = [...p.weights, ...(p.high || []), ...p.baselines.flatMap((b) => b.weights)];
    const x = C.scale(0, Math.min(1, Math.max(...reach) * 1.05), nameWidth, right);
    const bottom = top + step * k, none = C.scale(0, 1, bottom, bottom - 1);
    C.axes(svg, x, Object.assign(none, { low: 1, high: 0 }), [nameWidth, top - 12, right, bottom],
      { x: "weight", y: "" }, { x: C.percent, y: () => "" });
    p.baselines.forEach((b, j) => mark(svg, nameWidth + 4 + 150 * j, 8, j, b.name));
    data.domains.forEach((domain, i) => {
      const y = top + step * (i + 0.5);
      svg.append(C.label(nameWidth - 10, y + 4, clip(domain, 18),
        { "text-anchor": "end", class: "name" }));
      if (p.low) C.line(svg, [[x(p.low[i]), y], [x(p.high[i]), y]], { class: "span" });
      C.dots(svg, p.cloud.map((h, j) => [x(h[i]), y + ((j * 5) % 13) - 6]), "cloud", 3.5);
      p.baselines.forEach((b, j) => mark(svg, x(b.weights[i]), y, j));
      svg.append(C.element("circle", { class: "best", cx: x(p.weights[i]), cy: y, r: 5.5 },
        C.element("title", {}, `${domain}: ${C.percent(p.weights[i])}`)));
    });
    place.replaceChildren(svg);
  }

  const clip = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);

  function mark(svg, x, y, kind, name) {
    const shapes = ["M-4 -4h8v8h-8z", "M0 -5l5 9h-10z", "M0 -6l5 6l-5 6l-5 -6z"];
    svg.append(C.element("path", { class: "mark", d: shapes[kind % 3],
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` }));
    if (name) svg.append(C.label(x + 9, y + 4, clip(name, 26)));
  }

  function ternary(place) {
    const p = data.proposal, side = p.ternary.side, width = 440, edge = 330, left = 55, top = 30;
    const tall = (edge * Math.sqrt(3)) / 2;
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
    C.dots(svg, p.run.map(at), "run", 3.5);
    p.baselines.forEach((b, j) => mark(svg, ...at(b.weights), j));
    const [x, y] = at(p.weights);
    svg.append(C.element("circle", { class: "best", cx: x, cy: y, r: 6.5 }));
    const names = data.domains.map((name) => clip(name, 22));
    svg.append(C.label(left - 40, top + tall + 20, names[0], { class: "name" }));
    svg.append(C.label(left + edge + 40, top + tall + 20, names[1],
      { class: "name", "text-anchor": "end" }));
    svg.append(C.label(left + edge / 2, top - 12, names[2],
      { class: "name", "text-anchor": "middle" }));
    place.replaceChildren(svg);
  }

  function path(place) {
    const p = data.path, width = 1000, height = 380, right = width - 160, k = data.domains.length;
    const svg = C.picture(width, height, "Best weights against the number of parameters");
    const x = C.scale(p.n[0], p.n[p.n.length - 1], 48, right, true);
    const y = C.scale(0, Math.min(1, 1.08 * Math.max(...p.weights.flat())), height - 42, 26);
    C.axes(svg, x, y, [48, 26, right, height - 42], { x: "parameters N", y: "best weight" },
      { x: C.size, y: C.percent });
    if (p.seen > p.n[0]) C.line(svg, [[x(p.seen), 26], [x(p.seen), height - 42]], { class: "zero" });
    const ends = data.domains.map((_, i) => y(p.weights[p.n.length - 1][i]));
    const names = C.spread(ends, 13, 30, height - 42);
    for (let i = 0; i < k; i++) {
      const points = p.n.map((n, b) => [x(n), y(p.weights[b][i]), n]);
      const inside = points.filter((q) => q[2] <= p.seen * 1.001);
      const beyond = points.slice(Math.max(0, inside.length - 1));
      const style = { stroke: C.color(i), "stroke-width": 2 };
      if (inside.length > 1) C.line(svg, inside, { ...style, "stroke-dasharray": C.dash(i) });
      if (beyond.length > 1) C.line(svg, beyond, { ...style, "stroke-dasharray": "4 4" });
      svg.append(C.label(right + 10, names[i] + 4, clip(data.domains[i], 20),
        { style: `fill: ${C.color(i)}` }));
    }
    place.replaceChildren(svg);
  }

  function draw(figure, target) {
    const place = figure.querySelector(".drawing"), { chart, axis } = figure.dataset;
    const recommended = () => intervals(place, data.recommended);
    ({ observed, residual, intervals, recommended, ternary, path })[chart](
      place, ...(chart === "observed" || chart === "residual" ? [target, axis] : []));
  }

  function drawAll() {
    const figures = [...document.querySelectorAll("[data-chart]")];
    figures.forEach((figure) => draw(figure, 0));
    const chooser = document.getElementById("target");
    chooser?.addEventListener("change", () => figures
      .filter((f) => ["observed", "residual"].includes(f.dataset.chart))
      .forEach((f) => draw(f, +chooser.value)));
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

  drawAll();
  theme();
  return { data, model };
})();
