// The correlation matrix of the bins.

import { countBins, hatching, moved, number, svg } from "./drawing.js";

const LEFT = 58;
const BOTTOM = 46;
const BAR = 58;
const TOP = 8;

const HATCHED = -0.02; // below this, a cell without a number is hatched: in grey, red and blue are the same

const NEGATIVE = [33, 102, 172];
const POSITIVE = [178, 24, 43];

function colour(value) {
  const end = value < 0 ? NEGATIVE : POSITIVE;
  const share = Math.min(Math.abs(value), 1);
  return `rgb(${end.map((one) => Math.round(247 + (one - 247) * share)).join(" ")})`;
}

/** Draw; `choose(row, column)` is called when a pair of bins is pointed at. */
export function drawMatrix(place, answer, correlation, view, choose) {
  const { edges } = answer;
  const bins = correlation.length;
  const side = Math.max(Math.min(place.clientWidth - LEFT - BAR, 430), 150);
  const cell = side / bins;
  const [width, height] = [LEFT + side + BAR, TOP + side + BOTTOM];
  const drawn = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "slider", "aria-valuemin": 1, "aria-valuemax": bins * bins,
    "aria-valuenow": 1, "aria-label": `Correlation of ${countBins(bins)} of ${answer.observable}; arrow keys move from pair to pair`,
  });
  drawn.append(hatching("negative", "minus"));
  const at = (row, column) => ({ x: LEFT + column * cell, y: TOP + (bins - 1 - row) * cell });
  correlation.forEach((line, row) => line.forEach((value, column) => {
    drawn.append(svg("rect", { ...at(row, column), width: cell + 0.4, height: cell + 0.4, fill: colour(value) }));
    if (cell < 34) {
      if (value < HATCHED) drawn.append(svg("rect", { ...at(row, column), width: cell, height: cell, fill: "url(#negative)" }));
      return;
    }
    const middle = at(row, column);
    const fill = Math.abs(value) > 0.55 ? "#ffffff" : "#16202b";
    const text = svg("text", { class: "small", x: middle.x + cell / 2, y: middle.y + cell / 2 + 4, "text-anchor": "middle" }, value.toFixed(2).replace(/^-(0\.00)$/, "$1"));
    text.style.fill = fill;
    drawn.append(text);
  }));
  const every = Math.ceil(bins / Math.max(2, Math.floor(side / 58)));
  edges.forEach((edge, i) => {
    if (i % every) return;
    const [x, y] = [LEFT + i * cell, TOP + side - i * cell];
    drawn.append(svg("text", { class: "small", x, y: TOP + side + 16, "text-anchor": "middle" }, number(edge)));
    drawn.append(svg("text", { class: "small", x: LEFT - 5, y: y + 4, "text-anchor": "end" }, number(edge)));
  });
  const unit = answer.axis_unit ? ` [${answer.axis_unit}]` : "";
  drawn.append(svg("text", { class: "small", x: LEFT + side, y: height - 10, "text-anchor": "end" }, `bin edges${unit}`));
  for (let i = 0; i < 40; i += 1) {
    drawn.append(svg("rect", { x: LEFT + side + 12, y: TOP + (i * side) / 40, width: 12, height: side / 40 + 0.4, fill: colour(1 - (2 * i) / 39) }));
  }
  if (cell < 34) drawn.append(svg("rect", { x: LEFT + side + 12, y: TOP + side / 2, width: 12, height: side / 2, fill: "url(#negative)" }));
  for (const value of [1, 0.5, 0, -0.5, -1]) {
    const y = TOP + ((1 - value) * side) / 2;
    drawn.append(svg("text", { class: "small", x: LEFT + side + 28, y: Math.min(Math.max(y + 4, 14), TOP + side) }, value < 0 ? `−${-value}` : String(value)));
  }
  const cursor = svg("rect", { class: "cell-cursor", width: 0, height: 0 });
  drawn.append(cursor);

  const mark = (row, column) => {
    view.cell = row * bins + column;
    for (const [name, value] of Object.entries({ ...at(row, column), width: cell, height: cell })) cursor.setAttribute(name, value);
    drawn.setAttribute("aria-valuenow", view.cell + 1);
    drawn.setAttribute("aria-valuetext", choose(row, column));
  };
  drawn.addEventListener("pointermove", (event) => {
    const column = Math.floor((event.offsetX - LEFT) / cell);
    const row = bins - 1 - Math.floor((event.offsetY - TOP) / cell);
    if (row >= 0 && row < bins && column >= 0 && column < bins) mark(row, column);
  });
  drawn.addEventListener("keydown", (event) => {
    const vertical = event.key === "ArrowUp" || event.key === "ArrowDown";
    const [row, column] = [Math.floor((view.cell ?? 0) / bins), (view.cell ?? 0) % bins];
    const next = moved(event.key, vertical ? row : column, bins);
    if (next === undefined) return;
    event.preventDefault();
    if (vertical) mark(next, column);
    else mark(row, next);
  });
  place.replaceChildren(drawn);
}
