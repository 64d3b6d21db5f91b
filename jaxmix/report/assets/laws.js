"use strict";
// The laws of jaxmix.laws with their derivatives by the weights h, for one target.
//
// Every law is law(p, n, d, h, w, out): it returns the loss in nats and, where out is given, adds w
// times the gradient [k] and the Hessian [k * k, row by row] to out.grad and out.hess.
const Laws = (() => {
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const constant = (a, x, e) => (x === Infinity ? 0 : a * Math.exp(-e * Math.log(x)));

  // Adds scale * a b^T (and a's own part to nothing else) to the Hessian.
  function addOuter(out, scale, a, b) {
    const k = a.length;
    if (scale === 0) return;
    for (let i = 0; i < k; i++) {
      const left = scale * a[i];
      for (let j = 0; j < k; j++) out.hess[i * k + j] += left * b[j];
    }
  }

  function addSlope(out, scale, a) {
    for (let i = 0; i < a.length; i++) out.grad[i] += scale * a[i];
  }

  // 1 / sum_i C_i h_i^gamma_i
  function bias(p, h, w, out) {
    const k = h.length, first = new Array(k).fill(0), second = new Array(k).fill(0);
    let sum = 0;
    for (let i = 0; i < k; i++) {
      if (!(h[i] > 0)) continue;
      const term = p.C[i] * Math.exp(p.gamma[i] * Math.log(h[i]));
      sum += term;
      first[i] = (p.gamma[i] * term) / h[i];
      second[i] = ((p.gamma[i] - 1) * first[i]) / h[i];
    }
    if (out) {
      const square = sum * sum;
      addSlope(out, -w / square, first);
      addOuter(out, (2 * w) / (square * sum), first, first);
      for (let i = 0; i < k; i++) out.hess[i * k + i] -= (w * second[i]) / square;
    }
    return 1 / sum;
  }

  // exp(f), f = gamma log(C . h) - e log x, where the exponent e is a number or itself such a blend.
  function blend(c, gamma, exponent, x, h, w, out) {
    if (x === Infinity) return 0;
    const u = dot(c, h), logX = Math.log(x), k = h.length;
    const varies = typeof exponent === "object";
    const v = varies ? dot(exponent.c, h) : 1;
    const e = varies ? Math.exp(exponent.gamma * Math.log(v)) : exponent;
    const value = Math.exp(gamma * Math.log(u) - e * logX);
    if (!out) return value;
    const slope = c.map((ci) => (gamma * ci) / u); // of f
    if (varies) {
      for (let i = 0; i < k; i++) slope[i] -= (logX * e * exponent.gamma * exponent.c[i]) / v;
      const bend = (e * exponent.gamma * (exponent.gamma - 1)) / (v * v);
      addOuter(out, -w * value * logX * bend, exponent.c, exponent.c);
    }
    addOuter(out, (-w * value * gamma) / (u * u), c, c);
    addOuter(out, w * value, slope, slope);
    addSlope(out, w * value, slope);
    return value;
  }

  const nTerm = (p, n) => constant(p.A, n, p.alpha);
  const dTerm = (p, d) => constant(p.B, d, p.beta);

  // 1 / (sum_i tau_i h_i D)^beta
  const worth = (p, d, h, w, out) => blend(p.tau, -p.beta, p.beta, d, h, w, out);

  function joint(p, n, d, h, w, out, alpha, beta) {
    return (
      p.E + bias(p, h, w, out) +
      blend(p.C_A, p.gamma_A, alpha, n, h, w, out) +
      blend(p.C_B, p.gamma_B, beta, d, h, w, out)
    );
  }

  // sum_i c_i exp(gamma_i h_i)
  function exponentials(c, gamma, h, w, out) {
    let value = 0;
    h.forEach((x, i) => {
      const term = c(i) * Math.exp(gamma[i] * x);
      value += term;
      if (!out) return;
      out.grad[i] += w * gamma[i] * term;
      out.hess[i * h.length + i] += w * gamma[i] * gamma[i] * term;
    });
    return value;
  }

  // C exp(prod_i gamma_i h_i)
  function product(p, h, w, out) {
    const k = h.length, factors = h.map((x, i) => p.gamma[i] * x);
    const without = (...gone) => factors.reduce((a, f, i) => (gone.includes(i) ? a : a * f), 1);
    const value = p.C * Math.exp(without());
    if (!out) return value;
    const slope = factors.map((_, i) => p.gamma[i] * without(i));
    addSlope(out, w * value, slope);
    addOuter(out, w * value, slope, slope);
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++)
        if (i !== j) out.hess[i * k + j] += w * value * p.gamma[i] * p.gamma[j] * without(i, j);
    return value;
  }

  function own(p, d, h, at, w, out) {
    if (!(h[at] > 0)) return Infinity;
    const value = (p.E + dTerm(p, d)) * Math.exp(-p.gamma * Math.log(h[at]));
    if (out) {
      out.grad[at] -= (w * value * p.gamma) / h[at];
      out.hess[at * h.length + at] += (w * value * p.gamma * (p.gamma + 1)) / (h[at] * h[at]);
    }
    return value;
  }

  const laws = {
    chinchilla: (p, n, d) => p.E + nTerm(p, n) + dTerm(p, d),
    additive: (p, n, d, h, w, out) => p.E + bias(p, h, w, out) + nTerm(p, n) + dTerm(p, d),
    "additive-fixed-n": (p, n, d, h, w, out) => p.E + bias(p, h, w, out) + dTerm(p, d),
    "additive-fixed-nd": (p, n, d, h, w, out) => p.E + bias(p, h, w, out),
    effective: (p, n, d, h, w, out) => p.E + nTerm(p, n) + worth(p, d, h, w, out),
    "effective-fixed-n": (p, n, d, h, w, out) => p.E + worth(p, d, h, w, out),
    "effective-fixed-d": (p, n, d, h, w, out) => p.E + nTerm(p, n) + worth(p, 1, h, w, out),
    "effective-fixed-nd": (p, n, d, h, w, out) => p.E + worth(p, 1, h, w, out),
    simple: (p, n, d, h, w, out) =>
      p.E + blend(p.C, p.gamma, 0, 1, h, w, out) + nTerm(p, n) + dTerm(p, d),
    joint: (p, n, d, h, w, out) => joint(p, n, d, h, w, out, p.alpha, p.beta),
    full: (p, n, d, h, w, out) =>
      joint(p, n, d, h, w, out, { c: p.C_alpha, gamma: p.gamma_alpha },
        { c: p.C_beta, gamma: p.gamma_beta }),
    "ye-m1": (p, n, d, h, w, out) => p.E + exponentials((i) => p.C[i], p.gamma, h, w, out),
    "ye-m2": (p, n, d, h, w, out) => p.E + exponentials(() => p.C, p.gamma, h, w, out),
    "ye-m3": (p, n, d, h, w, out) => p.E + product(p, h, w, out),
    "ye-m4": (p, n, d, h, w, out) => {
      const value = p.C * Math.exp(dot(p.gamma, h));
      if (out) {
        addSlope(out, w * value, p.gamma);
        addOuter(out, w * value, p.gamma, p.gamma);
      }
      return p.E + value;
    },
    ge: (p, n, d, h, w, out) => own(p, d, h, p.own, w, out),
  };

  // Predicted losses of every target at one budget and mixture, nats.
  function losses(model, n, d, h) {
    return model.targets.map((t) => laws[model.law](t.params, n, d, h, 1, null));
  }

  // The weighted loss with gradient and Hessian; targets of weight 0 do not count.
  function objective(model, n, d, w, h) {
    const k = h.length;
    const out = { value: 0, grad: new Float64Array(k), hess: new Float64Array(k * k) };
    model.targets.forEach((t, i) => {
      if (w[i] > 0) out.value += w[i] * laws[model.law](t.params, n, d, h, w[i], out);
    });
    return out;
  }

  return { losses, objective, names: Object.keys(laws) };
})();
