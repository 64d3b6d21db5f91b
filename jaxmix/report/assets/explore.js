"use strict";
// Sliders for N, D and the target weights: losses and h* follow.
const Explore = (() => {
  const model = Page.model, panel = document.getElementById("panel");
  if (!model || !panel) return null;
  const C = Charts, mixes = model.uses.includes("weights") && model.domains.length > 0;
  const m = model.targets.length, REACH = 100;
  const state = { n: model.n, d: model.d, w: model.targetWeights.slice(), warm: null };

  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function slider(id, name, low, high, step, value, set) {
    const input = make("input", { type: "range", id, min: low, max: high, step, value });
    const output = make("output", { for: id });
    input.addEventListener("input", () => { set(+input.value); move(); });
    return { input, output, row: make("label", { for: id }, make("span", {}, name), output, input) };
  }

  function budgetSlider(id, name, key, [low, high]) {
    const to = Math.max(high * REACH, Math.min(state[key], 1e18)), from = Math.min(low, state[key]);
    return slider(id, name, Math.log10(from).toFixed(4), Math.log10(to).toFixed(4), "any",
      Math.log10(Math.min(state[key], to)), (x) => { state[key] = 10 ** x; });
  }

  const nSlider = budgetSlider("slider-n", "Parameters N", "n", model.range.n);
  const dSlider = budgetSlider("slider-d", "Tokens D", "d", model.range.d);
  for (const s of [nSlider, dSlider]) { // "any" would make an arrow key jump by a tenth of the way
    s.input.step = "0.01";
    s.input.min = Math.floor(s.input.min * 100) / 100;
    s.input.max = Math.ceil(s.input.max * 100) / 100;
  }
  const wSliders = model.targets.map((t, i) => slider(`slider-w${i}`, t.name, 0, 100, 1,
    Math.round((100 * state.w[i]) / Math.max(...state.w)), (x) => { wanted[i] = x; weigh(); }));
  const wanted = wSliders.map((s) => +s.input.value);

  function weigh() {
    const total = wanted.reduce((a, b) => a + b, 0);
    state.w = wanted.map((x) => (total > 0 ? x / total : 1 / m));
  }

  const reset = make("button", { type: "button" }, "Back to the report's budget");
  reset.addEventListener("click", () => {
    Object.assign(state, { n: model.n, d: model.d, w: model.targetWeights.slice() });
    nSlider.input.value = Math.log10(state.n);
    dSlider.input.value = Math.log10(state.d);
    wSliders.forEach((s, i) => {
      s.input.value = Math.round((100 * state.w[i]) / Math.max(...state.w));
      wanted[i] = +s.input.value;
    });
    update();
  });

  // A table whose rows are filled in place; bar says whether a bar stands in the second column.
  function grid(caption, head, names, columns, bar) {
    const cells = names.map(() => columns.map(() => make("td", { class: "number" })));
    const bars = names.map(() => make("span"));
    const body = names.map((name, i) => make("tr", {}, make("th", { scope: "row" }, name),
      ...(bar ? [make("td", { class: "bar", "aria-hidden": "true" }, bars[i])] : []), ...cells[i]));
    const top = [head, ...(bar ? [""] : []), ...columns].map((c, i) =>
      make("th", { scope: "col", ...(i > 0 ? { class: "number" } : {}) }, c));
    const table = make("table", {}, make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...top)), make("tbody", {}, ...body));
    return { node: make("div", { class: "scroll" }, table), cells, bars };
  }

  const weights = grid("Best mixture", "domain", model.domains, ["weight"], true);
  const losses = grid("Predicted losses, nats per token", "target", model.targets.map((t) => t.name),
    mixes ? ["best mixture", ...model.baselines.map((b) => b.name)] : ["loss"], false);
  const gains = grid("Weighted loss", "mixture",
    ["best mixture", ...model.baselines.map((b) => b.name)],
    ["nats", "best is lower by", ...(model.limits ? ["limits that it breaks"] : [])], false);
  const flags = make("ul", { class: "flags", id: "flags", "aria-live": "polite" });

  const mean = (values) => values.reduce((s, x, i) => s + (state.w[i] > 0 ? state.w[i] * x : 0), 0);

  function beyond(name, value, [low, high]) {
    const times = (x) => `${+x.toPrecision(3)}`;
    if (value > high * 1.01) return [`${name} is ${times(value / high)} times the largest that was run`];
    if (value < low / 1.01) return [`${name} is ${times(low / value)} times below the smallest that was run`];
    return [];
  }

  function warn(best) {
    const found = [...(model.uses.includes("n_params") ? beyond("N", state.n, model.range.n) : []),
      ...(model.uses.includes("tokens") ? beyond("D", state.d, model.range.d) : [])];
    if (best && model.hull.length) {
      const distance = Simplex.hullDistance(model.hull, best.weights);
      if (distance > 1e-5)
        found.push(`the mixture lies ${+distance.toPrecision(2)} outside the hull of those that were run`);
    }
    if (best && best.excess > 0)
      found.push("no mixture was found that meets all limits at this budget");
    if (wanted.every((x) => x === 0)) found.push("all target weights are 0: they count alike");
    flags.replaceChildren(...(found.length ? found.map((f) => make("li", {}, f)) :
      [make("li", { class: "fine" }, "N, D and the mixture lie within what was run")]));
    return found;
  }

  function show(best) {
    nSlider.output.value = C.size(state.n);
    dSlider.output.value = C.size(state.d);
    nSlider.input.setAttribute("aria-valuetext", `${C.size(state.n)} parameters`);
    dSlider.input.setAttribute("aria-valuetext", `${C.size(state.d)} tokens`);
    wSliders.forEach((s, i) => {
      s.output.value = C.percent(state.w[i]);
      s.input.setAttribute("aria-valuetext", C.percent(state.w[i]));
    });
    const all = best ? [best.weights, ...model.baselines.map((b) => b.weights)] : [[]];
    const said = all.map((h) => Laws.losses(model, state.n, state.d, h));
    const text = (x) => (Number.isFinite(x) ? x.toFixed(4) : "∞");
    model.targets.forEach((_, i) => losses.cells[i].forEach((c, j) => { c.textContent = text(said[j][i]); }));
    if (!best) return said[0];
    best.weights.forEach((h, i) => {
      weights.cells[i][0].textContent = C.percent(h);
      weights.bars[i].style.width = `${100 * h}%`;
    });
    gains.cells.forEach((row, j) => {
      const value = mean(said[j]);
      row[0].textContent = text(value);
      row[1].textContent = j ? text(value - mean(said[0])) : "";
      if (model.limits)
        row[2].textContent = Simplex.broken(model, state.n, state.d, all[j]).join(", ") || "none";
    });
    return said[0];
  }

  // While a slider moves, h* is followed from where it was; once it rests, all starts are tried.
  let rest = null;
  function move() {
    clearTimeout(rest);
    update(true);
    if (mixes && !model.convex) rest = setTimeout(update, 150);
  }

  // The mixture of the report itself where the budget and the target weights are its own.
  function find(quick) {
    const home = state.n === model.n && state.d === model.d &&
      state.w.every((x, i) => x === model.targetWeights[i]);
    return home ? { weights: model.best, excess: 0 } :
      Simplex.optimum(model, state.n, state.d, state.w, state.warm, quick);
  }

  // Returns what the page shows and how long it took, ms.
  function update(quick = false) {
    const from = performance.now();
    const best = mixes ? find(quick === true) : null;
    if (best) state.warm = best.weights;
    const predicted = show(best), found = warn(best);
    Explore.last = { ...state, best, predicted, flags: found, ms: performance.now() - from };
    return Explore.last;
  }

  function set(n, d, w) {
    Object.assign(state, { n, d, w: w.slice() });
    return update();
  }

  const group = make("div", { class: "sliders", role: "group", "aria-label": "Budget and targets" },
    ...(model.uses.includes("n_params") ? [nSlider.row] : []),
    ...(model.uses.includes("tokens") ? [dSlider.row] : []),
    ...(mixes && m > 1 ? [make("h3", {}, "Weights of the targets"), ...wSliders.map((s) => s.row)] : []),
    make("div", {}, reset));
  panel.append(group, make("div", {}, flags, ...(mixes ? [weights.node, gains.node] : []), losses.node));
  return { update, set, last: null };
})();
Explore?.update();
