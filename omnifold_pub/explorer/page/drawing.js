// What all drawings are made of: elements whose texts are only ever set as text, numbers, ticks.

const SVG = "http://www.w3.org/2000/svg";

function filled(made, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (content !== undefined) made.textContent = content;
  return made;
}

export function svg(name, attributes = {}, content = undefined) {
  return filled(document.createElementNS(SVG, name), attributes, content);
}

export function html(name, attributes = {}, content = undefined) {
  return filled(document.createElement(name), attributes, content);
}

/** How many bins, in words. */
export function countBins(count) {
  return `${count} ${count === 1 ? "bin" : "bins"}`;
}

/** Lines across what is to be seen in grey too. */
export function hatching(id, look) {
  const pattern = svg("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(svg("line", { class: look, x1: 0, x2: 0, y1: 0, y2: 7 }));
  return pattern;
}

/** A number in at most so many digits, without zeros that say nothing. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(digits)));
}

/** Value and uncertainty, rounded to two digits of the latter. */
export function pair(value, error) {
  if (!(error > 0)) return [number(value, 5), number(error, 2)];
  const last = Math.floor(Math.log10(error)) - 1;
  const top = value === 0 ? last + 1 : Math.max(Math.floor(Math.log10(Math.abs(value))), last + 1);
  if (top >= 6 || top < -4) {
    const digits = Math.min(Math.max(top - last, 0), 15);
    return [value.toExponential(digits), error.toExponential(1)];
  }
  const decimals = Math.min(Math.max(-last, 0), 20);
  const rounded = (x) => (last > 0 ? Math.round(x / 10 ** last) * 10 ** last : x).toFixed(decimals);
  return [rounded(value), rounded(error)];
}

export function percent(part, whole) {
  return whole ? `${((100 * part) / Math.abs(whole)).toFixed(1)} %` : "–";
}

/** Round numbers from low to high, about so many. */
export function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999) ?? power * 10;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** Powers of ten from low to high, and what is between them where they are few. */
export function decades(low, high) {
  const found = [];
  const factors = Math.log10(high / low) > 3 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(3));
      if (value >= low && value <= high) found.push(value);
    }
  }
  const skip = Math.ceil(found.length / 8);
  return found.filter((_, i) => i % skip === 0);
}

export function linear(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

export function logarithmic(low, high, from, to) {
  const inner = linear(Math.log(low), Math.log(high), from, to);
  return (value) => inner(Math.log(Math.max(value, low)));
}

/** Text cut to a length that a label can carry. */
export function short(text, most = 46) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** What the arrow keys make of a place among so many; undefined for other keys. */
export function moved(key, place, count) {
  const at = place ?? -1;
  const steps = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: count - 1 };
  return key in steps ? Math.min(Math.max(steps[key], 0), count - 1) : undefined;
}
