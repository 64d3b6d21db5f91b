"use strict";
// The optimal mixture in the page: exponentiated gradient on the simplex, corrected by curvature.
// The step solves (H + damping diag(1 / h)) d = -(g - lambda) with sum d = 0, as jaxmix.mixtures.
const Simplex = (() => {
  const FLOOR = 1e-15, REACH = 5, PASSES = 5, PATIENCE = 12, MOST = 120;
  const STIFF = 100, ROUNDS = 25, MET = 1e-6; // of the augmented Lagrangian
  const sum = (a) => a.reduce((x, y) => x + y, 0);

  function evaluate(f, h) {
    const at = f(h);
    at.h = h;
    const low = Math.min(...at.grad);
    at.gap = h.reduce((s, x, i) => s + at.grad[i] * x, 0) - low;
    let mass = 0, mean = 0;
    h.forEach((x, i) => {
      if (x > 2 * FLOOR) { mass += x; mean += x * at.grad[i]; }
    });
    at.level = mass > 0 ? mean / mass : low;
    at.size = Math.max(...Array.from(at.grad, Math.abs));
    at.finite = Number.isFinite(at.value) && at.hess.every(Number.isFinite);
    return at;
  }

  const held = (at) => at.h.map((x, i) => x <= 2 * FLOOR && at.grad[i] > at.level);

  // Solves m x = b by Cholesky; null where m [k * k] is not positive definite.
  function solve(m, b) {
    const k = b.length, l = new Float64Array(k * k), x = Float64Array.from(b);
    for (let i = 0; i < k; i++)
      for (let j = 0; j <= i; j++) {
        let s = m[i * k + j];
        for (let q = 0; q < j; q++) s -= l[i * k + q] * l[j * k + q];
        if (i > j) l[i * k + j] = s / l[j * k + j];
        else if (s > 0) l[i * k + i] = Math.sqrt(s);
        else return null;
      }
    for (let i = 0; i < k; i++) {
      for (let q = 0; q < i; q++) x[i] -= l[i * k + q] * x[q];
      x[i] /= l[i * k + i];
    }
    for (let i = k - 1; i >= 0; i--) {
      for (let q = i + 1; q < k; q++) x[i] -= l[q * k + i] * x[q];
      x[i] /= l[i * k + i];
    }
    return x;
  }

  // The step [k] where the weights in fixed move by what moved says; null where none exists.
  function freeStep(at, fixed, moved, damping) {
    const k = at.h.length;
    const mass = sum(at.h.map((x, i) => (fixed[i] ? 0 : x))) || 1;
    const root = at.h.map((x, i) => (fixed[i] ? 0 : Math.sqrt(x)));
    const gone = sum(moved);
    const shift = at.h.map((x, i) => (fixed[i] ? moved[i] : (-x * gone) / mass));
    const unit = root.map((r) => r / Math.sqrt(mass));
    const off = (v) => { // projection on sum d = 0
      const along = v.reduce((s, x, i) => s + x * unit[i], 0);
      return v.map((x, i) => x - along * unit[i]);
    };
    const right = off(root.map((r, i) => {
      let s = at.grad[i];
      for (let j = 0; j < k; j++) s += at.hess[i * k + j] * shift[j];
      return -r * s;
    }));
    const scaled = new Float64Array(k * k), along = new Float64Array(k);
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++) {
        scaled[i * k + j] = root[i] * at.hess[i * k + j] * root[j];
        along[i] += scaled[i * k + j] * unit[j];
      }
    const twice = along.reduce((s, x, i) => s + x * unit[i], 0), model = new Float64Array(k * k);
    let most = 0;
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < k; j++)
        model[i * k + j] = scaled[i * k + j] - unit[i] * along[j] - along[i] * unit[j] +
          twice * unit[i] * unit[j];
      most = Math.max(most, Math.abs(model[i * k + i]));
    }
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < k; j++) model[i * k + j] += (damping + most) * unit[i] * unit[j];
      model[i * k + i] += damping + (fixed[i] ? damping + most : 0);
    }
    const x = solve(model, right);
    if (!x) return null;
    const step = off(Array.from(x)).map((v, i) => shift[i] + root[i] * v);
    return step.every(Number.isFinite) ? step : null;
  }

  function project(h) {
    const raised = h.map((x) => Math.max(x, FLOOR)), total = sum(raised);
    return raised.map((x) => Math.max(x / total, FLOOR));
  }

  // The next mixture and the damping it took: weights that would leave the simplex are held.
  function next(at, damping) {
    let fixed = held(at), moved = at.h.map(() => 0), found = null;
    for (let pass = 0; pass < PASSES; pass++) {
      const step = freeStep(at, fixed, moved.map((m, i) => (fixed[i] ? m : 0)), damping);
      if (!step) { damping *= 10; continue; }
      const low = at.h.map((x) => Math.max(FLOOR, x * Math.exp(-REACH)));
      const high = at.h.map((x) => x * Math.exp(REACH));
      const trial = at.h.map((x, i) => x + step[i]);
      const crossed = trial.map((x, i) => !fixed[i] && (x < low[i] || x > high[i]));
      found = trial.map((x, i) => Math.min(Math.max(x, low[i]), high[i]));
      moved = found.map((x, i) => (fixed[i] ? moved[i] : x - at.h[i]));
      if (!crossed.includes(true)) break;
      fixed = fixed.map((f, i) => f || crossed[i]);
    }
    return { trial: found ? project(at.h.map((x, i) => x + moved[i])) : null, damping };
  }

  function settled(at, tolerance) {
    if (at.gap > tolerance * Math.abs(at.value)) return false;
    const holds = held(at);
    return at.h.every((_, i) => holds[i] ||
      Math.abs(at.grad[i] - at.level) <= 1e4 * tolerance * at.size);
  }

  function descend(f, start, tolerance) {
    let at = evaluate(f, project(start)), refused = 0;
    if (!at.finite) return at;
    let damping = Math.max(...at.grad.map((g) => Math.abs(g - at.level)));
    for (let i = 0; i < MOST && refused < PATIENCE && !settled(at, tolerance); i++) {
      damping = Math.max(damping, 1e-14 * at.size);
      const step = next(at, damping);
      damping = step.damping;
      if (!step.trial) { refused++; damping *= 8; continue; }
      const to = evaluate(f, step.trial), move = to.h.map((x, j) => x - at.h[j]), k = move.length;
      let expected = 0;
      for (let a = 0; a < k; a++) {
        expected -= at.grad[a] * move[a];
        for (let b = 0; b < k; b++) expected -= 0.5 * move[a] * at.hess[a * k + b] * move[b];
      }
      const noise = 16 * Number.EPSILON * Math.abs(to.value), gain = at.value - to.value;
      const better = gain > noise || (gain > -noise && to.gap < at.gap);
      const trusted = gain > 0.5 * expected || Math.abs(gain) <= noise;
      if (to.finite && better) {
        at = to;
        refused = 0;
        damping *= trusted ? 0.1 : 2;
      } else {
        refused++;
        damping *= 8;
      }
    }
    return at;
  }

  // What a mixture must meet at a budget: functions of h whose value is at most 0 where it is met,
  // each with its label, gradient and, if it is curved, Hessian.
  function limits(model, n, d) {
    const given = model.limits;
    if (!given) return [];
    const made = given.rows.map((r) => Object.assign((h) => ({ grad: r.slope,
      value: h.reduce((s, x, i) => s + x * r.slope[i], r.stock === null ? -r.bound : -r.stock / d),
    }), { label: r.label }));
    for (const guard of given.guards) {
      const weights = model.targets.map((t) => (t.name === guard.target ? 1 : 0));
      const most = Laws.objective(model, n, d, weights, given.reference).value + guard.allowed;
      made.push(Object.assign((h) => {
        const at = Laws.objective(model, n, d, weights, h);
        at.value -= most;
        return at;
      }, { label: guard.label }));
    }
    if (given.klMax !== null) made.push(Object.assign((h) => {
      const at = divergence(given.prior, h);
      at.value -= given.klMax;
      return at;
    }, { label: given.klLabel }));
    return made;
  }

  // Kullback-Leibler divergence of h from p; domains without p are held at 0 by a limit.
  function divergence(p, h) {
    const k = h.length, at = { value: 0, grad: new Float64Array(k), hess: new Float64Array(k * k) };
    h.forEach((x, i) => {
      if (!(p[i] > 0)) return;
      const y = Math.max(x, FLOOR), log = Math.log(y / p[i]);
      at.value += y * log;
      at.grad[i] = log + 1;
      at.hess[i * k + i] = 1 / y;
    });
    return at;
  }

  function add(at, scale, other, outer) {
    const k = at.grad.length;
    for (let i = 0; i < k; i++) {
      at.grad[i] += scale * other.grad[i];
      for (let j = 0; j < k; j++)
        at.hess[i * k + j] += outer * other.grad[i] * other.grad[j] +
          (other.hess ? scale * other.hess[i * k + j] : 0);
    }
  }

  // The augmented Lagrangian of f with multipliers y (Hestenes 1969, Powell 1969).
  function lagrangian(f, within, y, rho) {
    return (h) => {
      const at = f(h);
      within.forEach((limit, j) => {
        const over = limit(h), force = Math.max(0, y[j] + rho * over.value);
        at.value += (force * force - y[j] * y[j]) / (2 * rho);
        if (force > 0) add(at, force, over, rho);
      });
      return at;
    };
  }

  // By how much h exceeds the limit that it exceeds most.
  const excess = (within, h) => Math.max(0, ...within.map((limit) => limit(h).value));

  function descendWithin(f, within, start, tolerance) {
    let at = descend(f, start, tolerance), y = within.map(() => 0), rho = STIFF, last = Infinity;
    if (!at.finite || excess(within, at.h) <= 0) return at;
    for (let round = 0; round < ROUNDS; round++) {
      const to = descend(lagrangian(f, within, y, rho), at.h, tolerance);
      if (!to.finite) break;
      at = to;
      const over = within.map((limit) => limit(at.h).value);
      const off = Math.max(...over.map((v, j) => Math.abs(Math.max(v, -y[j] / rho))));
      y = y.map((m, j) => Math.max(0, m + rho * over[j]));
      if (off < 1e-10) break;
      if (off > 0.25 * last) rho *= 10;
      last = off;
    }
    return Object.assign(at, { value: f(at.h).value });
  }

  // The mixture h* that minimizes the weighted loss within the limits; the best of the model's
  // starts where the loss is not known to be convex, or, if quick, what the warm start leads to.
  // Weights at the floor are reported as 0, and excess is by how much h* exceeds a limit that no
  // mixture was found to meet.
  function optimum(model, n, d, w, warm, quick = false) {
    const pull = model.limits ? model.limits.pull : 0, within = limits(model, n, d);
    const f = (h) => {
      const at = Laws.objective(model, n, d, w, h);
      if (!pull) return at;
      const far = divergence(model.limits.prior, h);
      at.value += pull * far.value;
      add(at, pull, far, 0);
      return at;
    };
    const all = model.convex ? [model.starts[0]] : [...(warm ? [warm] : []), ...model.starts];
    const starts = quick && warm ? [warm] : all;
    let best = null;
    for (const start of starts) {
      const found = descendWithin(f, within, start.map((x) => Math.max(x, 1e-6)),
        model.convex ? 1e-12 : 1e-7);
      found.excess = excess(within, found.h);
      if (found.finite && (!best || better(found, best))) best = found;
    }
    if (best && !model.convex) best = descendWithin(f, within, best.h, 1e-12);
    if (!best) return null;
    const h = best.h.map((x) => (x <= 2 * FLOOR ? 0 : x)), total = sum(h);
    const weights = h.map((x) => x / total), over = excess(within, weights);
    return { weights, value: best.value, gap: best.gap, excess: over > MET ? over : 0 };
  }

  function better(found, best) {
    if (Math.max(found.excess, best.excess) > MET) return found.excess < best.excess;
    return found.value < best.value;
  }

  // Labels of the limits that a mixture does not meet.
  const broken = (model, n, d, h) =>
    limits(model, n, d).filter((limit) => limit(h).value > MET).map((limit) => limit.label);

  // Euclidean distance of h to the convex hull of points (Wolfe 1976: the point nearest to it).
  function hullDistance(points, h) {
    const moved = points.map((p) => p.map((x, i) => x - h[i]));
    const dot = (a, b) => a.reduce((s, x, i) => s + x * b[i], 0);
    const norms = moved.map((p) => dot(p, p));
    let chosen = [norms.indexOf(Math.min(...norms))], share = [1];
    const nearest = () => h.map((_, i) => sum(chosen.map((c, j) => share[j] * moved[c][i])));
    for (let step = 0; step < 1000; step++) {
      const x = nearest(), towards = moved.map((p) => dot(p, x));
      const best = towards.indexOf(Math.min(...towards));
      if (towards[best] > dot(x, x) - 1e-12 || chosen.includes(best)) break;
      chosen.push(best);
      share.push(0);
      for (;;) {
        const k = chosen.length, scale = Math.max(...chosen.map((c) => norms[c])) || 1;
        const gram = new Float64Array(k * k);
        chosen.forEach((a, i) => chosen.forEach((b, j) => {
          gram[i * k + j] = dot(moved[a], moved[b]) / scale + 1 + (i === j ? 1e-14 : 0);
        }));
        const y = solve(gram, new Array(k).fill(1));
        if (!y) { chosen.pop(); share.pop(); return Math.sqrt(dot(nearest(), nearest())); }
        const wanted = Array.from(y, (v) => v / sum(Array.from(y)));
        if (wanted.every((v) => v > 1e-12)) { share = wanted; break; }
        const steps = wanted.map((v, i) => (v <= 1e-12 ? share[i] / (share[i] - v) : Infinity));
        const reach = Math.min(1, ...steps.filter((v) => v >= 0));
        share = share.map((v, i) => v + reach * (wanted[i] - v));
        const out = steps.indexOf(Math.min(...steps));
        chosen.splice(out, 1);
        share.splice(out, 1);
        const total = sum(share);
        share = share.map((v) => v / total);
      }
    }
    const distance = Math.sqrt(dot(nearest(), nearest()));
    return distance > 1e-7 ? distance : 0;
  }

  return { optimum, broken, hullDistance };
})();
