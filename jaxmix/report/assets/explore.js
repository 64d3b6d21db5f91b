"use strict";
// Sliders for the budget, the mixture and limits. Losses come from the laws' own steps, optima from
// the tables that were computed when the page was made.
const Explore = (() => {
  const { model } = Page, C = Charts, REACH = 100, STEP = 0.005;
  const w = model.targetWeights, k = model.domains.length;
  const state = { n: model.n, d: model.d, h: model.proposed && model.proposed.slice() };

  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function slider(id, name, [low, high, step], value, set) {
    const input = make("input", { type: "range", id, min: low, max: high, step, value });
    const output = make("output", { for: id });
    input.addEventListener("input", () => set(+input.value));
    const row = make("label", { for: id }, make("span", {}, name), output, input);
    const show = (text, spoken) => {
      output.value = text;
      input.setAttribute("aria-valuetext", spoken || text);
    };
    return { input, row, show };
  }

  function button(text, act) {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", act);
    return made;
  }

  // A table whose cells are filled in place.
  function grid(caption, head, names, columns, bar) {
    const cells = names.map(() => columns.map(() => make("td", { class: "number" })));
    const bars = names.map(() => make("span"));
    const body = names.map((name, i) => make("tr", {}, make("th", { scope: "row" }, name),
      ...(bar ? [make("td", { class: "bar", "aria-hidden": "true" }, bars[i])] : []), ...cells[i]));
    const top = [head, ...(bar ? [""] : []), ...columns].map((c, i) =>
      make("th", { scope: "col", ...(i > 0 ? { class: "number" } : {}) }, c));
    const table = make("table", {}, make("caption", {}, make("span", {}, caption)),
      make("thead", {}, make("tr", {}, ...top)), make("tbody", {}, ...body));
    return { node: make("div", { class: "scroll" }, table), cells, bars };
  }

  const weightsGrid = (caption, columns) => grid(caption, "domain", model.domains, columns, true);

  function fillWeights(made, ...mixtures) {
    const longest = Math.max(...mixtures.flat().filter((x) => x !== null), 1e-9);
    made.cells.forEach((row, i) => mixtures.forEach((h, j) => {
      row[j].textContent = h ? C.percent(h[i]) : "–";
    }));
    made.bars.forEach((bar, i) => {
      bar.style.width = mixtures[0] ? `${(100 * mixtures[0][i]) / longest}%` : "0";
    });
  }

  const number = (x) => (Number.isFinite(x) ? x.toFixed(4) : "∞");
  const signed = (x) => (!Number.isFinite(x) ? "–" : Math.abs(x) < 5e-5 ? "0" :
    `${x > 0 ? "+" : "−"}${Math.abs(x).toFixed(4)}`);
  const losses = (n, d, h) => Program.losses(model.steps, n, d, h);

  // What is minimized, nats: the weighted loss, or the worst one.
  function objective(n, d, h, said = losses(n, d, h)) {
    const counted = said.map((x, i) => [x, w[i], i]).filter((x) => x[1] > 0);
    if (!model.objective.worst) return counted.reduce((sum, [x, share]) => sum + share * x, 0);
    const base = model.objective.worst === "gap" ? losses(n, d, model.limits.reference) : null;
    return Math.max(...counted.map(([x, , i]) => x - (base ? base[i] : 0)));
  }

  const times = (x) => `${+x.toPrecision(3)}`;
  function beyondSizes(n, d) {
    return [["n", "parameters", n], ["d", "tokens", d]]
      .filter(([key]) => model.reads.includes(key === "n" ? "n_params" : "tokens"))
      .flatMap(([key, name, value]) => {
        const [low, high] = model.range[key];
        if (value > high * 1.01) return [`${C.size(value)} ${name}: ${times(value / high)} times the most that was run`];
        if (value < low / 1.01) return [`${C.size(value)} ${name}: ${times(low / value)} times below the least that was run`];
        return [];
      });
  }

  // Weights that no run had: "code 74%, most that was run 12%".
  function beyondRuns(h) {
    if (!model.most) return [];
    return h.flatMap((x, i) => x > model.most[i] + STEP ?
      [`${model.domains[i]} ${C.percent(x)}, most that was run ${C.percent(model.most[i])}`] :
      x < model.least[i] - STEP ?
        [`${model.domains[i]} ${C.percent(x)}, least that was run ${C.percent(model.least[i])}`] : []);
  }

  function nearest(h) {
    const far = model.run.map((r) => r.reduce((s, x, i) => s + Math.abs(x - h[i]), 0) / 2);
    return far.length ? Math.min(...far) : 0;
  }

  function broken(h, n, d) {
    const given = model.limits, found = [];
    if (!given) return found;
    for (const row of given.rows) {
      const bound = row.stock === null ? row.bound : row.stock / d;
      if (row.slope.reduce((s, x, i) => s + x * h[i], 0) > bound + 1e-4) found.push(row.label);
    }
    if (given.guards.length) {
      const said = losses(n, d, h), base = losses(n, d, given.reference);
      for (const guard of given.guards) {
        const i = model.targets.indexOf(guard.target);
        if (said[i] > base[i] + guard.allowed + 1e-6) found.push(guard.label);
      }
    }
    const kl = h.reduce((s, x, i) => s + (x > 0 ? x * Math.log(x / given.prior[i]) : 0), 0);
    if (given.klMax !== null && kl > given.klMax + 1e-6) found.push(given.klLabel);
    return [...new Set(found)];
  }

  function flags(id) {
    const node = make("ul", { class: "flags", id, "aria-live": "polite" });
    const show = (found, fine) => node.replaceChildren(...(found.length ?
      found.map((f) => make("li", {}, f)) : [make("li", { class: "fine" }, fine)]));
    return { node, show };
  }

  // --- size and tokens ---------------------------------------------------------------------------

  function sizes(panel) {
    const made = { n: null, d: null }, mixes = Boolean(model.surface);
    const names = { n: ["n_params", "Parameters"], d: ["tokens", "Tokens"] };
    for (const key of ["n", "d"]) {
      if (!model.reads.includes(names[key][0])) continue;
      const axis = mixes ? model.surface[key] : [Math.min(model.range[key][0], model[key]),
        Math.max(model.range[key][1] * REACH, Math.min(model[key], 1e18))];
      const ends = [axis[0], axis[axis.length - 1]].map(Math.log10);
      const steps = [Math.floor(ends[0] * 100) / 100, Math.ceil(ends[1] * 100) / 100, 0.01];
      made[key] = slider(`slider-${key}`, names[key][1], steps, Math.log10(model[key]), (x) => {
        state[key] = Math.min(10 ** ends[1], Math.max(10 ** ends[0], 10 ** x));
        update();
      });
    }
    const weights = mixes && weightsGrid("Best mixture within the limits",
      ["at these sizes", "recommended"]);
    const table = model.steps && grid("Predicted losses, nats per token", "target",
      [...model.targets, model.objective.name], mixes ? ["best there", "recommended"] : ["loss"]);
    const said = flags("sizes-flags");
    const reset = button("Back to the budget of this page", () => {
      Object.assign(state, { n: model.n, d: model.d });
      for (const key of ["n", "d"]) if (made[key]) made[key].input.value = Math.log10(model[key]);
      update();
    });
    panel.append(make("div", { class: "sliders", role: "group", "aria-label": "Size and tokens" },
      ...["n", "d"].filter((key) => made[key]).map((key) => made[key].row), make("div", {}, reset)),
    make("div", {}, said.node, ...(weights ? [weights.node] : []), ...(table ? [table.node] : [])));

    function update() {
      made.n?.show(C.size(state.n), `${C.size(state.n)} parameters`);
      made.d?.show(C.size(state.d), `${C.size(state.d)} tokens`);
      const home = state.n === model.n && state.d === model.d;
      const best = !mixes ? null : home ? { weights: model.best, rough: false } :
        Table.budget(model.surface, state.n, state.d);
      if (weights) fillWeights(weights, best.weights, model.proposed);
      if (table) {
        const mixtures = mixes ? [best.weights, model.proposed] : [[]];
        const found = mixtures.map((h) => h && losses(state.n, state.d, h));
        table.cells.forEach((row, i) => found.forEach((x, j) => {
          const all = x && [...x, objective(state.n, state.d, mixtures[j], x)];
          row[j].textContent = all ? number(all[i]) : "–";
        }));
      }
      const trouble = beyondSizes(state.n, state.d);
      if (best && !best.weights) trouble.push("no mixture was found that meets all limits there");
      else if (best?.rough) trouble.push("the best mixture jumps near here: shown is that of the nearest budget that was computed");
      said.show(trouble, "Within the sizes and token counts that were run.");
      Page.at = { n: state.n, d: state.d };
      if (mixes) Page.redraw("path");
      Explore.sizes = { ...state, weights: best && best.weights, rough: best && best.rough };
    }
    update();
    return update;
  }

  // --- a weight ----------------------------------------------------------------------------------

  function moves(panel) {
    const home = model.proposed, columns = ["this mixture", "against recommended"];
    const sliders = model.domains.map((name, i) => slider(`slider-h${i}`, name, [0, 100, 0.5],
      100 * home[i], (x) => { move(i, x / 100); update(i); }));
    const totals = grid(`${model.objective.name}, nats per token`, "mixture",
      ["this mixture", "recommended", ...model.baselines.map((b) => b.name)],
      ["loss", "against recommended"]);
    const table = grid("Predicted losses, nats per token", "target", model.targets, columns);
    const said = flags("moves-flags");
    const at = (h) => objective(model.n, model.d, h);
    const reset = button("Back to the recommended mixture", () => {
      state.h = home.slice();
      update();
    });
    panel.append(make("div", { class: "sliders", role: "group", "aria-label": "Weights" },
      ...sliders.map((s) => s.row), make("div", {}, reset)),
    make("div", {}, said.node, totals.node, table.node));

    // Domain i gets x; the others share the rest as they did, or evenly if they had nothing.
    function move(i, x) {
      const rest = 1 - state.h[i];
      state.h = state.h.map((y, j) => (j === i ? x : rest > 1e-9 ? (y * (1 - x)) / rest :
        (1 - x) / (k - 1)));
    }

    function update(held = -1) {
      const h = state.h, own = losses(model.n, model.d, h), base = losses(model.n, model.d, home);
      sliders.forEach((s, i) => {
        if (i !== held) s.input.value = 100 * h[i];
        s.show(C.percent(h[i]));
      });
      [h, home, ...model.baselines.map((b) => b.weights)].forEach((x, j) => {
        totals.cells[j][0].textContent = number(at(x));
        totals.cells[j][1].textContent = j === 1 ? "" : signed(at(x) - at(home));
      });
      table.cells.forEach((row, i) => {
        row[0].textContent = number(own[i]);
        row[1].textContent = signed(own[i] - base[i]);
      });
      const limits = broken(h, model.n, model.d), far = nearest(h), trouble = beyondRuns(h);
      if (limits.length) trouble.unshift(`breaks ${limits.join(", ")}`);
      if (far > 0.15) trouble.push(`no run is near: the nearest mixture that was run differs in ${C.percent(far)} of the tokens`);
      said.show(trouble, "Obeys the limits and lies near mixtures that were run.");
      Explore.moves = { h: h.slice(), losses: own };
    }
    update();
    return update;
  }

  // --- a limit -----------------------------------------------------------------------------------

  function limits(panel) {
    const select = make("select", { id: "limit-domain" }, ...model.curves.map((c, i) =>
      make("option", { value: i }, model.domains[c.domain])));
    const box = make("div", { class: "sliders", role: "group", "aria-label": "A limit" });
    const weights = weightsGrid("Best mixture under this limit", ["limited", "without it"]);
    const cost = make("p", { id: "limit-cost", "aria-live": "polite" });
    panel.append(box, make("div", {}, cost, weights.node));
    const chooser = make("label", { for: "limit-domain", class: "choice" }, make("span", {}, "Domain"), select);
    select.addEventListener("change", build);

    function build() {
      const curve = model.curves[+select.value], i = curve.domain, own = model.best[i];
      const low = 100 * curve.limit[0], high = 100 * curve.limit[curve.limit.length - 1];
      const range = [Math.floor(low * 2) / 2, Math.ceil(high * 2) / 2, 0.5];
      const kept = (x) => Math.min(high, Math.max(low, x)) / 100;
      const most = slider("slider-most", "At most", range, range[1], (x) => show(kept(x), true));
      const least = slider("slider-least", "At least", range, range[0], (x) => show(kept(x), false));

      function show(limit, isMost) {
        const other = isMost ? least : most;
        other.input.value = isMost ? range[0] : range[1];
        other.show("no limit");
        (isMost ? most : least).show(C.percent(limit));
        const binds = isMost ? limit < own : limit > own;
        const found = binds ? Table.limited(curve, limit) : { weights: model.best, rough: false };
        fillWeights(weights, found.weights, model.best);
        const name = model.domains[i];
        let text = `${name} at ${isMost ? "most" : "least"} ${C.percent(limit)}: `;
        if (!binds) text += `costs nothing, the best mixture has ${C.percent(own)}.`;
        else if (model.steps) {
          const more = objective(model.n, model.d, found.weights) - objective(model.n, model.d, model.best);
          text += `the ${model.objective.name} changes by ${signed(more)} nats per token.`;
        } else text += "the best mixture is this one.";
        if (found.rough) text += " It jumps near here: shown is the nearest that was computed.";
        cost.textContent = text;
        Explore.limit = { domain: i, limit, isMost, weights: found.weights };
      }
      box.replaceChildren(chooser, most.row, least.row);
      show(range[1] / 100, true);
    }
    if (model.curves.length) build();
  }

  function start() {
    const panels = Object.fromEntries(["sizes", "moves", "limits"].map((name) =>
      [name, document.getElementById(`${name}-panel`)]));
    if (panels.sizes && (model.surface || model.steps)) sizes(panels.sizes);
    if (panels.moves) moves(panels.moves);
    if (panels.limits) limits(panels.limits);
  }
  return { start, sizes: null, moves: null, limit: null };
})();
Explore.start();
