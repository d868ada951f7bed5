// The spectrum with its band, and below it the ratio to the measurement with the bands of the components.

import { countBins, decades, hatching, linear, logarithmic, moved, number, short, svg, ticks } from "./drawing.js";

export const BANDS = 8;
export const THEORIES = 4;
export const DASHES = ["none", "8 4", "8 3 2 3", "2 3"];

const LEFT = 78;
const RIGHT = 14;
const TOP = 16;
const MAIN = 290;
const GAP = 16;
const RATIO = 180;
const BOTTOM = 52;

/** Components by their mean size, the largest first: [{name, errors, mean}]. */
export function ordered(answer) {
  const filledBins = answer.values.map((value, i) => [value, i]).filter(([value]) => value !== 0);
  const mean = (errors) =>
    filledBins.reduce((sum, [value, i]) => sum + errors[i] / Math.abs(value), 0) / Math.max(filledBins.length, 1);
  const found = answer.components.map((one) => ({ ...one, mean: mean(one.errors) }));
  return found.sort((a, b) => b.mean - a.mean);
}

/** Errors of components added up in quadrature, one after the other. */
export function nested(components, bins) {
  let sum = new Array(bins).fill(0);
  return components.map((one) => {
    sum = sum.map((variance, i) => variance + one.errors[i] ** 2);
    return { ...one, errors: sum.map(Math.sqrt) };
  });
}

export function isWide(answer) {
  const low = Math.min(...answer.values);
  return low > 0 && Math.max(...answer.values) > 50 * low;
}

export function yLabel(answer) {
  const x = answer.observable.length > 24 ? "x" : answer.observable;
  const inner = /^\w+$/.test(x) ? x : `(${x})`;
  const unit = answer.unit ? ` [${answer.unit}]` : "";
  if (answer.density) return `${answer.normalise ? "1/σ " : ""}dσ / d${x === "x" ? "x" : ` ${inner}`}${unit}`;
  return `${answer.normalise ? "share of the cross section" : "cross section"} per bin${unit}`;
}

export function xLabel(answer) {
  return short(answer.observable, 80) + (answer.axis_unit ? ` [${answer.axis_unit}]` : "");
}

function steps(edges, values, x, y) {
  let path = "";
  values.forEach((value, i) => {
    path += `${i ? "V" : `M${x(edges[0])} `}${y(value)}H${x(edges[i + 1])}`;
  });
  return path;
}

function frame(drawn, box, tickValues, y, format) {
  for (const value of tickValues) {
    const at = y(value);
    drawn.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }));
    drawn.append(svg("text", { class: "small", x: box.left - 7, y: at + 4, "text-anchor": "end" }, format(value)));
  }
}

function bandRects(drawn, edges, low, high, x, y, name) {
  low.forEach((from, i) => {
    const [top, bottom] = [y(high[i]), y(from)];
    if (!Number.isFinite(top) || !Number.isFinite(bottom)) return;
    const width = Math.max(x(edges[i + 1]) - x(edges[i]), 0.5);
    drawn.append(svg("rect", { class: name, x: x(edges[i]), y: top, width, height: Math.max(bottom - top, 0) }));
  });
}

function xTicks(edges, width) {
  return ticks(edges[0], edges.at(-1), Math.max(3, Math.floor(width / 90)));
}

function clip(id, box) {
  const path = svg("clipPath", { id });
  path.append(svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }));
  return path;
}

/** Draw; `view` says which components and theories are on; `choose(bin)` is called when a bin is pointed at. */
export function drawSpectrum(place, answer, view, choose) {
  const width = Math.max(place.clientWidth, 300);
  const height = TOP + MAIN + GAP + RATIO + BOTTOM;
  const main = { left: LEFT, right: width - RIGHT, top: TOP, bottom: TOP + MAIN };
  const ratio = { left: LEFT, right: width - RIGHT, top: main.bottom + GAP, bottom: main.bottom + GAP + RATIO };
  const { edges, values } = answer;
  const x = (view.logX ? logarithmic : linear)(edges[0], edges.at(-1), main.left, main.right);
  const drawn = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "slider", "aria-valuemin": 1,
    "aria-valuemax": values.length, "aria-valuenow": (view.bin ?? 0) + 1,
    "aria-label": `Spectrum of ${answer.observable}, ${countBins(values.length)}; arrow keys move from bin to bin`,
  });
  const definitions = svg("defs");
  definitions.append(clip("in-main", main), clip("in-ratio", ratio), hatching("doubtful", "hatch"));
  drawn.append(definitions);

  const on = ordered(answer).map((one, rank) => ({ ...one, rank })).filter((one) => view.components.has(one.name));
  const sums = nested(on, values.length);
  const total = sums.length ? sums.at(-1).errors : values.map(() => 0);
  const theories = answer.theories.map((one, rank) => ({ ...one, rank })).filter((one) => !one.problem && view.theories.has(one.name));
  drawMain(drawn, answer, main, x, total, theories, view.log);
  drawRatio(drawn, answer, ratio, x, view.mode === "single" ? on : sums, theories, view.mode);

  for (const at of view.logX ? decades(edges[0], edges.at(-1)) : xTicks(edges, main.right - main.left)) {
    drawn.append(svg("line", { class: "axis", x1: x(at), x2: x(at), y1: ratio.bottom, y2: ratio.bottom + 5 }));
    drawn.append(svg("text", { class: "small", x: x(at), y: ratio.bottom + 19, "text-anchor": "middle" }, number(at)));
  }
  drawn.append(svg("text", { x: main.right, y: height - 8, "text-anchor": "end" }, xLabel(answer)));
  answer.warnings.forEach((found, i) => {
    if (!found.length) return;
    const size = { x: x(edges[i]), width: x(edges[i + 1]) - x(edges[i]) };
    for (const box of [main, ratio]) drawn.append(svg("rect", { ...size, y: box.top, height: box.bottom - box.top, fill: "url(#doubtful)" }));
    if (size.width > 12) drawn.append(svg("text", { class: "doubt", x: size.x + size.width / 2, y: main.top + 14, "text-anchor": "middle" }, "!"));
  });
  const cursor = svg("rect", { class: "cursor", y: main.top, height: ratio.bottom - main.top, width: 0 });
  drawn.append(cursor);
  for (const box of [main, ratio]) drawn.append(svg("rect", { class: "axis", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }));

  const mark = (bin) => {
    if (bin === null || bin === undefined || bin >= values.length) return;
    cursor.setAttribute("x", x(edges[bin]));
    cursor.setAttribute("width", x(edges[bin + 1]) - x(edges[bin]));
    drawn.setAttribute("aria-valuenow", bin + 1);
    drawn.setAttribute("aria-valuetext", choose(bin));
  };
  drawn.addEventListener("pointermove", (event) => {
    const bin = edges.findIndex((edge, i) => event.offsetX >= x(edge) && event.offsetX < x(edges[i + 1]));
    if (bin >= 0) { view.bin = bin; mark(bin); }
  });
  drawn.addEventListener("keydown", (event) => {
    const bin = moved(event.key, view.bin, values.length);
    if (bin === undefined) return;
    event.preventDefault();
    view.bin = bin;
    mark(bin);
  });
  const focused = place.contains(document.activeElement);
  place.replaceChildren(drawn);
  if (focused) drawn.focus();
  mark(view.bin);
}

function drawMain(drawn, answer, box, x, total, theories, log) {
  const { edges, values } = answer;
  const every = [...values.map((value, i) => value + total[i]), ...theories.flatMap((one) => one.values)];
  const positive = [...values, ...theories.flatMap((one) => one.values)].filter((value) => value > 0);
  let y;
  if (log && positive.length) {
    const [low, high] = [Math.min(...positive) / 2, Math.max(...every) * 2];
    y = logarithmic(low, high, box.bottom, box.top);
    frame(drawn, box, decades(low, high), y, (value) => number(value));
  } else {
    const low = Math.min(0, ...values.map((value, i) => (value - total[i]) * 1.1).filter((_, i) => values[i] < 0));
    const high = Math.max(...every) * 1.12 || 1;
    y = linear(low, high, box.bottom, box.top);
    frame(drawn, box, ticks(low, high, 6), y, (value) => number(value));
  }
  const inside = svg("g", { "clip-path": "url(#in-main)" });
  bandRects(inside, edges, values.map((value, i) => value - total[i]), values.map((value, i) => value + total[i]), x, y, "band-1");
  for (const one of theories) inside.append(line(one, steps(edges, one.values, x, y)));
  values.forEach((value, i) => {
    if (log && value <= 0) return;
    const at = (x(edges[i]) + x(edges[i + 1])) / 2;
    inside.append(svg("line", { class: "bar", x1: at, x2: at, y1: y(value - total[i]), y2: y(value + total[i]) }));
    inside.append(svg("circle", { class: "point", cx: at, cy: y(value), r: values.length > 50 ? 2 : 3.2 }));
  });
  drawn.append(inside);
  const middle = (box.top + box.bottom) / 2;
  drawn.append(svg("text", { x: 15, y: middle, transform: `rotate(-90 15 ${middle})`, "text-anchor": "middle" }, yLabel(answer)));
}

function line(theory, path) {
  const rank = theory.rank % THEORIES;
  return svg("path", { class: `line theory-${rank}`, "stroke-dasharray": DASHES[rank], d: path });
}

/** The theory's own uncertainty; those of several theories stand beside each other. */
function bar(theory, quotient, middle, error, y) {
  const rank = theory.rank % THEORIES;
  const at = middle + (rank ? (rank % 2 ? 1 : -1) * 3 * Math.ceil(rank / 2) : 0);
  return svg("line", { class: `line thin theory-${rank}`, x1: at, x2: at, y1: y(quotient - error), y2: y(quotient + error) });
}

function drawRatio(drawn, answer, box, x, bands, theories, mode) {
  const { edges, values } = answer;
  const over = (parts) => parts.map((part, i) => (values[i] ? part / Math.abs(values[i]) : NaN));
  const relative = bands.map((one) => ({ ...one, errors: over(one.errors) }));
  const quotients = theories.map((one) => ({
    ...one, values: one.values.map((value, i) => (values[i] ? value / values[i] : NaN)), errors: over(one.errors),
  }));
  const far = [...relative.flatMap((one) => one.errors), ...quotients.flatMap((one) => one.values.map((q, i) => Math.abs(q - 1) + one.errors[i]))];
  const reach = Math.min(Math.max(1.15 * Math.max(0, ...far.filter(Number.isFinite)), 0.02), 0.75);
  const y = linear(1 - reach, 1 + reach, box.bottom, box.top);
  frame(drawn, box, ticks(1 - reach, 1 + reach, 4), y, (value) => number(value));
  const inside = svg("g", { "clip-path": "url(#in-ratio)" });
  if (mode === "single") {
    for (const one of relative) {
      for (const sign of [1, -1]) {
        const path = steps(edges, one.errors.map((error) => (Number.isFinite(error) ? 1 + sign * error : 1)), x, y);
        const attributes = { class: `line edge-${lineBand(one.rank)}`, "stroke-dasharray": DASHES[one.rank % DASHES.length], d: path };
        inside.append(svg("path", attributes));
      }
    }
  } else {
    for (const one of [...relative].reverse()) {
      const name = `band-${one.rank % BANDS}`;
      bandRects(inside, edges, one.errors.map((error) => 1 - error), one.errors.map((error) => 1 + error), x, y, name);
    }
  }
  inside.append(svg("line", { class: "one", x1: box.left, x2: box.right, y1: y(1), y2: y(1) }));
  for (const one of quotients) {
    if (one.values.every(Number.isFinite)) inside.append(line(one, steps(edges, one.values, x, y)));
    else one.values.forEach((q, i) => Number.isFinite(q) && inside.append(line(one, steps(edges.slice(i, i + 2), [q], x, y))));
    one.values.forEach((q, i) => Number.isFinite(q) && inside.append(bar(one, q, (x(edges[i]) + x(edges[i + 1])) / 2, one.errors[i], y)));
  }
  drawn.append(inside);
  const middle = (box.top + box.bottom) / 2;
  drawn.append(svg("text", { x: 15, y: middle, transform: `rotate(-90 15 ${middle})`, "text-anchor": "middle" }, "ratio to measured"));
}

/** Band whose colour a line has: the lightest ones are for areas. */
export function lineBand(rank) {
  return 2 + (rank % (BANDS - 2));
}
