"use strict";
// Runs the laws' own steps (jaxmix.fitting.portable): no law is written here.
const Program = (() => {
  const one = (f) => (values) => values[0].map((x) => f(x));
  const two = (f) => ([a, b]) => {
    const n = Math.max(a.length, b.length), out = new Array(n);
    for (let i = 0; i < n; i++) out[i] = f(a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]);
    return out;
  };
  const at = (a, i) => a[a.length === 1 ? 0 : i];
  const truth = (f) => two((x, y) => (f(x, y) ? 1 : 0));
  const TWO = {
    add: (x, y) => x + y, sub: (x, y) => x - y, mul: (x, y) => x * y, div: (x, y) => x / y,
    max: Math.max, min: Math.min, pow: Math.pow,
    and: (x, y) => (x && y ? 1 : 0), or: (x, y) => (x || y ? 1 : 0),
  };
  const ELEMENTWISE = {
    ...Object.fromEntries(Object.entries(TWO).map(([name, f]) => [name, two(f)])),
    ...Object.fromEntries(["abs", "cbrt", "ceil", "cos", "cosh", "exp", "expm1", "floor", "log",
      "log1p", "sign", "sin", "sinh", "sqrt", "tan", "tanh"].map((name) => [name, one(Math[name])])),
    exp2: one((x) => 2 ** x), neg: one((x) => -x), not: one((x) => (x ? 0 : 1)),
    rsqrt: one((x) => 1 / Math.sqrt(x)), square: one((x) => x * x),
    logistic: one((x) => 1 / (1 + Math.exp(-x))), is_finite: one((x) => (Number.isFinite(x) ? 1 : 0)),
    eq: truth((x, y) => x === y), ne: truth((x, y) => x !== y), lt: truth((x, y) => x < y),
    le: truth((x, y) => x <= y), gt: truth((x, y) => x > y), ge: truth((x, y) => x >= y),
    select_n: ([which, ...cases]) => cases[0].map((_, i) => at(cases[+at(which, i)], i)),
    clamp: ([low, x, high]) => x.map((v, i) => Math.min(Math.max(v, at(low, i)), at(high, i))),
  };

  function apply(name, rest, held) {
    if (name === "take") return rest[1].map((i) => held[rest[0]][i]);
    if (name === "join") return [].concat(...rest.map((place) => held[place]));
    if (name === "fold") {
      const [place, kind, n] = rest, values = held[place], out = [];
      for (let i = 0; i < values.length; i += n) out.push(values.slice(i, i + n).reduce((a, b) => TWO[kind](a, b)));
      return out;
    }
    return ELEMENTWISE[name](rest.map((place) => held[place]));
  }

  const number = (x) => (typeof x === "string" ? Number(x) : x);

  // Predicted loss of each target, nats, at N, D and the weights h.
  function losses(program, n, d, h) {
    return program.targets.map((target) => {
      const weights = target.own === null ? h : [h[target.own]];
      const given = { ...program.fixed, ...target.params, n_params: [n], tokens: [d], weights };
      const held = program.inputs.map((name) => given[name].map(number));
      for (const [place, values] of Object.entries(program.constants)) held[place] = values.map(number);
      for (const [place, name, ...rest] of program.steps) held[place] = apply(name, rest, held);
      return held[program.result][0];
    });
  }

  return { losses, names: Object.keys(ELEMENTWISE) };
})();
