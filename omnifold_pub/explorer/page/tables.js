// What is shown as text: the bins, the components and theories with their switches, the release itself.

import { countBins, html, number, pair, percent, svg } from "./drawing.js";
import { BANDS, DASHES, THEORIES, lineBand, ordered } from "./spectrum.js";

export const byId = (id) => document.getElementById(id);

export function range(answer, i) {
  const unit = answer.axis_unit ? ` ${answer.axis_unit}` : "";
  return `${number(answer.edges[i], 6)} to ${number(answer.edges[i + 1], 6)}${unit}`;
}

export function showBins(answer) {
  const head = html("tr");
  const good = answer.theories.filter((one) => !one.problem);
  const doubtful = answer.warnings.filter((found) => found.length).length;
  const names = ["bin", "value", "±", "total", "effective events", ...good.map((one) => `${one.name} / measured`)];
  names.forEach((name) => head.append(html("th", { scope: "col" }, name)));
  byId("bins-head").replaceChildren(head);
  const rows = answer.values.map((value, i) => {
    const row = html("tr", answer.warnings[i].length ? { class: "caution" } : {});
    row.append(html("th", { scope: "row" }, `${range(answer, i)}${answer.warnings[i].length ? " !" : ""}`));
    const events = answer.effective_events[i];
    const cells = [...pair(value, answer.total[i]), percent(answer.total[i], value), events === null ? "–" : Math.floor(events).toLocaleString("en")];
    for (const one of good) cells.push(value ? (one.values[i] / value).toFixed(3) : "–");
    for (const cell of cells) row.append(html("td", {}, cell));
    return row;
  });
  byId("bins-body").replaceChildren(...rows);
  const note = byId("vouched");
  note.textContent = doubtful
    ? `! The publisher does not vouch for ${doubtful} of ${countBins(rows.length)} (hatched). Merge them, leave them out, or take suggested bins.`
    : "The publisher vouches for all of these bins.";
  note.className = doubtful ? "caution-text" : "hint";
  const reasons = answer.warnings.flatMap((found, i) => (found.length ? [`${range(answer, i)}: ${found.join("; ")}`] : []));
  byId("reasons").replaceChildren(...reasons.map((text) => html("li", {}, text)));
  byId("value-unit").textContent = answer.unit ? `Values in ${answer.unit}.` : "";
}

function item(name, checked, swatch, said, changed) {
  const [line, label] = [html("li", { "data-name": name }), html("label")];
  const box = html("input", { type: "checkbox" });
  box.checked = checked;
  box.addEventListener("change", () => changed(name, box.checked));
  label.append(box, swatch, html("span", { class: "name" }, name), html("span", { class: "size" }, said));
  line.append(label);
  return line;
}

export function showComponents(answer, view, changed) {
  const items = ordered(answer).map((one, rank) => {
    const swatch = svg("svg", { width: 30, height: 14, "aria-hidden": "true" });
    if (view.mode === "single") {
      swatch.append(svg("path", { class: `line edge-${lineBand(rank)}`, "stroke-dasharray": DASHES[rank % DASHES.length], d: "M0 7H30" }));
    } else swatch.append(svg("rect", { class: `band-${rank % BANDS}`, width: 30, height: 14 }));
    return item(one.name, view.components.has(one.name), swatch, percent(one.mean, 1), changed);
  });
  byId("components").replaceChildren(...items);
}

/** Offer the components' own correlations; what was chosen stays chosen. */
export function showChoices(answer) {
  const select = byId("matrix");
  const chosen = select.value;
  const options = answer.components.map((one) => html("option", { value: one.name }, one.name));
  select.replaceChildren(select.options[0], ...options);
  select.value = answer.components.some((one) => one.name === chosen) ? chosen : "";
}

export function showTheories(answer, view, changed) {
  const items = answer.theories.map((one, rank) => {
    const swatch = svg("svg", { width: 30, height: 14, "aria-hidden": "true" });
    swatch.append(svg("path", { class: `line theory-${rank % THEORIES}`, "stroke-dasharray": DASHES[rank % THEORIES], d: "M0 7H30" }));
    const line = item(one.name, !one.problem && view.theories.has(one.name), swatch, "", changed);
    line.querySelector("input").disabled = Boolean(one.problem);
    line.append(html("div", { class: "test" }, one.problem || "testing…"));
    return line;
  });
  byId("theories").replaceChildren(...items);
  byId("theories-box").hidden = !items.length;
}

export function pValue(p) {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toPrecision(2)}`;
}

/** Fill in chi2 and p-values; null: they are not known. */
export function showTests(tests, problem = "") {
  const lines = [...byId("theories").children];
  lines.forEach((line, i) => {
    const found = line.querySelector(".test");
    const test = tests?.[i];
    if (!test) { found.textContent = problem; return; }
    found.textContent = test.problem || `χ²/ndf = ${test.chi2.toFixed(1)}/${test.dof}, ${pValue(test.p_value)}`;
    found.title = test.problem ? "" : `p = ${test.p_value}, ${test.method}`;
  });
  const shape = tests?.some((test) => test.shape_only);
  byId("theories-hint").textContent = shape
    ? "Of the shapes alone, with the full covariance; the theory's own uncertainty counts."
    : "With the full covariance; the theory's own uncertainty counts.";
}

/** The ratio of the first two columns that follow one another and have the same unit. */
function exampleOf(columns) {
  const i = columns.findIndex((one, place) => place && one.unit !== "1" && one.unit === columns[place - 1].unit);
  return i > 0 ? `${columns[i].name} / ${columns[i - 1].name}` : `log(${columns[0].name})`;
}

export function showRelease(release, picked) {
  document.title = `${release.title} – release explorer`;
  byId("title").textContent = release.title;
  const facts = [release.data_kind, release.collision, release.luminosity.replace("-1", "⁻¹"), `${release.events.toLocaleString("en")} events`, release.name];
  byId("facts").textContent = facts.join(" · ");
  byId("region").textContent = `${release.process}. Fiducial region: ${release.region}.`;
  byId("notes").replaceChildren(...release.notes.map((note) => html("li", {}, note)));
  byId("functions").textContent = release.functions.join(", ");
  byId("names").replaceChildren(...release.columns.map((one) => html("option", { value: one.name }, one.description)));
  byId("column").append(...release.columns.map((one) => html("option", { value: one.name }, one.name)));
  byId("columns").replaceChildren(...release.columns.map((one) => {
    const [row, cell] = [html("tr"), html("td")];
    const button = html("button", { type: "button", class: "pick code" }, one.name);
    button.addEventListener("click", () => picked(one.name));
    cell.append(button);
    row.append(cell, html("td", {}, one.unit === "1" ? "" : one.unit), html("td", {}, one.description));
    return row;
  }));
  byId("example").textContent = exampleOf(release.columns);
}
