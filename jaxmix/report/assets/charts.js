"use strict";
// SVG by hand: axes, dots and lines in the page's own colors.
const Charts = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const COLORS = 8;

  function element(name, attributes = {}, ...children) {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function picture(width, height, label) {
    return element("svg", { viewBox: `0 0 ${width} ${height}`, width, role: "img", "aria-label": label });
  }

  const label = (x, y, value, options = {}) => element("text", { x, y, ...options }, value);
  const color = (i) => `var(--c${i % COLORS})`;

  // A name in at most two lines that break at its joints; what is longer still ends in "…".
  function lines(name, most) {
    const out = [""];
    for (const piece of name.split(/(?<=[_\-/:. ])/)) {
      if (out[out.length - 1] && (out[out.length - 1] + piece).length > most) out.push("");
      out[out.length - 1] += piece;
    }
    if (out.length > 2) out.splice(1, out.length - 1, out.slice(1).join(""));
    return out.map((part) => (part.length > most ? `${part.slice(0, most - 1)}…` : part.trim()));
  }

  // Writes a name around the height y.
  function named(svg, x, y, name, most, options = {}) {
    const parts = lines(name, most), top = y + 4 - 6 * (parts.length - 1);
    const text = element("text", { x, y: top, ...options }, element("title", {}, name));
    parts.forEach((part, i) => text.append(element("tspan", { x, dy: i ? 12 : 0 }, part)));
    svg.append(text);
  }

  // A number of parameters or tokens, a weight, and any other number for people.
  function size(x) {
    if (!Number.isFinite(x) || x >= 1e300) return "∞";
    for (const [unit, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]])
      if (x >= unit && x < 1e15) return `${+(x / unit).toPrecision(3)}${letter}`;
    return x >= 1e15 ? x.toExponential(1) : `${+x.toPrecision(3)}`;
  }
  const percent = (h) => (h === 0 ? "0%" : h < 0.001 ? "<0.1%" :
    `${(100 * h).toFixed(h >= 0.0995 || Number.isInteger(+(100 * h).toFixed(6)) ? 0 : 1)}%`);
  const plain = (x) => `${+x.toPrecision(3)}`.replace("-", "−");

  function scale(low, high, from, to, log) {
    const f = log ? Math.log : (x) => x, a = f(low), b = f(high);
    const at = (x) => from + ((to - from) * (f(x) - a)) / (b - a || 1);
    return Object.assign(at, { low, high, log });
  }

  function ticks(s, count) {
    if (s.log) {
      const span = Math.log10(s.high / s.low), steps = span < 1.3 ? [1, 2, 5] : [1];
      const every = Math.max(1, Math.ceil(span / count)), found = [];
      for (let e = Math.floor(Math.log10(s.low)); e <= Math.log10(s.high); e++)
        if (e % every === 0 || every === 1)
          for (const m of steps) found.push(m * 10 ** e);
      return found.filter((x) => x >= s.low * 0.999 && x <= s.high * 1.001);
    }
    const rough = (s.high - s.low) / count, power = 10 ** Math.floor(Math.log10(rough || 1));
    const step = [1, 2, 5, 10].map((m) => m * power).find((x) => x >= rough * 0.999), found = [];
    for (let i = Math.ceil(s.low / step - 1e-9); i * step <= s.high * (1 + 1e-9) + 1e-12; i++)
      found.push(i * step);
    return found;
  }

  function axes(svg, x, y, box, names, format) {
    const [left, top, right, bottom] = box;
    svg.append(element("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }));
    for (const t of ticks(x, Math.max(2, (right - left) / 62))) {
      svg.append(element("path", { class: "axis", d: `M${x(t)} ${bottom}v4` }));
      svg.append(label(x(t), bottom + 16, format.x(t), { "text-anchor": "middle" }));
    }
    for (const t of ticks(y, (bottom - top) / 34)) {
      svg.append(element("path", { class: "axis", d: `M${left} ${y(t)}h-4` }));
      svg.append(label(left - 7, y(t) + 4, format.y(t), { "text-anchor": "end" }));
    }
    if (names.x) svg.append(label((left + right) / 2, bottom + 32, names.x, { "text-anchor": "middle" }));
    if (names.y) svg.append(label(left, top - 8, names.y, { "text-anchor": "start" }));
  }

  function dots(svg, points, kind, width) {
    if (!points.length) return;
    const d = points.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
    svg.append(element("path", { class: `dots ${kind}`, d, "stroke-width": width }));
  }

  function line(svg, points, options) {
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    svg.append(element("path", { fill: "none", d, ...options }));
  }

  // Moves heights apart so that text does not overlap; keeps the order.
  function spread(heights, gap, low, high) {
    const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b]);
    const out = heights.slice();
    order.forEach((i, j) => {
      out[i] = Math.max(out[i], j ? out[order[j - 1]] + gap : low);
    });
    for (let j = order.length - 1; j >= 0; j--) {
      const limit = j === order.length - 1 ? high : out[order[j + 1]] - gap;
      out[order[j]] = Math.min(out[order[j]], limit);
    }
    return out;
  }

  return { COLORS, element, picture, label, lines, named, color, size, percent, plain, scale, axes, dots, line,
    spread };
})();
