// The page: asks the server, shows what it answers. The server remembers nothing: each request is a whole question.

import { pickColumn, readQuestion, recall, remember, showKind, showQuestion } from "./controls.js";
import { countBins, html, number, pair, percent } from "./drawing.js";
import { drawMatrix } from "./matrix.js";
import { drawSpectrum, isWide } from "./spectrum.js";
import { byId, range, showBins, showChoices, showComponents, showRelease, showTests, showTheories } from "./tables.js";

const view = { components: new Set(), theories: new Set(), off: new Set(), mode: "stacked", log: false, asked: null, logX: false, askedX: false, bin: null, cell: null };
let answer = null;
let question = null;
let underWay = null;
let matrix = null; // of the component that is chosen; null: of all

class Refused extends Error {}

async function ask(path, body = undefined, signal = undefined) {
  let response;
  try {
    response = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The program does not answer. Is it still running?");
  }
  if (!response.ok) throw new Refused(await response.text());
  return response;
}

function showError(text) {
  byId("error").textContent = text;
  byId("error").hidden = !text;
}

function save() {
  remember({ question, off: [...view.off], mode: view.mode, log: view.asked, logX: view.askedX });
}

function draw() {
  if (!answer) return;
  view.components = new Set(answer.components.map((one) => one.name).filter((name) => !view.off.has(`component ${name}`)));
  view.theories = new Set(answer.theories.map((one) => one.name).filter((name) => !view.off.has(`theory ${name}`)));
  view.log = view.asked ?? isWide(answer);
  byId("log").checked = view.log;
  view.logX = view.askedX && answer.edges[0] > 0;
  byId("log-x").checked = view.logX;
  byId("log-x").disabled = !(answer.edges[0] > 0);
  byId("mode").value = view.mode;
  drawSpectrum(byId("spectrum"), answer, view, readOut);
  drawMatrix(byId("correlation"), answer, matrix ?? answer.correlation, view, readOutPair);
}

function readOut(i) {
  const on = answer.components.filter((one) => view.components.has(one.name));
  const total = Math.sqrt(on.reduce((sum, one) => sum + one.errors[i] ** 2, 0));
  const [value, error] = pair(answer.values[i], total);
  const said = [`${range(answer, i)}: ${value} ± ${error}${answer.unit ? ` ${answer.unit}` : ""}`];
  if (on.length) said.push(on.map((one) => `${one.name} ${percent(one.errors[i], answer.values[i])}`).join(", "));
  const shown = answer.theories.filter((one) => view.theories.has(one.name) && !one.problem);
  for (const one of shown) said.push(`${one.name} ${number(one.values[i])} (ratio ${answer.values[i] ? (one.values[i] / answer.values[i]).toFixed(3) : "–"})`);
  if (answer.effective_events[i] !== null) said.push(`${Math.floor(answer.effective_events[i]).toLocaleString("en")} effective events`);
  if (answer.warnings[i].length) said.push(`not vouched for: ${answer.warnings[i].join("; ")}`);
  byId("readout").textContent = said.join(" · ");
  [...byId("bins-body").children].forEach((row, place) => row.classList.toggle("chosen", place === i));
  return byId("readout").textContent;
}

function readOutPair(row, column) {
  const text = `${range(answer, column)} with ${range(answer, row)}: correlation ${(matrix ?? answer.correlation)[row][column].toFixed(3)}`;
  byId("correlation-readout").textContent = text;
  return text;
}

function switched(kind) {
  return (name, on) => {
    if (on) view.off.delete(`${kind} ${name}`);
    else view.off.add(`${kind} ${name}`);
    draw();
    save();
  };
}

function show(found) {
  const other = !answer || answer.edges.length !== found.edges.length;
  answer = found;
  matrix = null;
  showChoices(answer);
  if (other) { view.bin = null; view.cell = null; byId("correlation-readout").textContent = "Point at a pair of bins."; }
  byId("answer").hidden = false;
  byId("answer").classList.remove("stale");
  draw();
  showComponents(answer, view, switched("component"));
  showTheories(answer, view, switched("theory"));
  showBins(answer);
  if (view.bin === null) byId("readout").textContent = "Point at a bin, or move from bin to bin with the arrow keys.";
  else readOut(view.bin);
  if (!byId("example-cut").textContent) byId("example-cut").textContent = exampleCut();
  byId("python").textContent = answer.python;
  byId("commands").textContent = answer.commands;
}

function exampleCut() {
  return `${answer.observable} > ${number(answer.edges[Math.floor(answer.edges.length / 2)])}`;
}

async function measure() {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  const asked = readQuestion();
  byId("status").textContent = "Measuring…";
  const start = performance.now();
  try {
    const found = await (await ask("api/measure", asked, mine.signal)).json();
    question = asked;
    showError("");
    show(found);
    const where = asked.where ? ` where ${asked.where}` : "";
    byId("status").textContent = `${asked.observable}${where}: ${countBins(found.values.length)} in ${Math.round(performance.now() - start)} ms`;
    save();
    await chooseMatrix();
    if (found.theories.length) await test(asked, mine.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    showError(error.message);
    byId("answer").classList.add("stale");
    byId("status").textContent = answer ? "What is shown answers the question before." : "Nothing is measured yet.";
  }
}

async function chooseMatrix() {
  const [name, shown] = [byId("matrix").value, answer];
  const found = name ? await (await ask(`api/correlation/${encodeURIComponent(name)}`, question)).json() : null;
  if (answer !== shown || byId("matrix").value !== name || (!found && !matrix)) return;
  matrix = found;
  draw();
  byId("correlation-readout").textContent = "Point at a pair of bins.";
}

async function test(asked, signal) {
  try {
    showTests(await (await ask("api/compare", asked, signal)).json());
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    showTests(null, error.message);
  }
}

async function takeHome(kind) {
  if (!question) return;
  try {
    const response = await ask(`api/download/${kind}`, question);
    const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1];
    const link = html("a", { href: URL.createObjectURL(await response.blob()), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    showError("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    showError(error.message);
  }
}

async function copy(button) {
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(byId(button.dataset.of).textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId(button.dataset.of));
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => { button.textContent = words; }, 2000);
}

function switchAll(on) {
  for (const one of answer?.components ?? []) view.off[on ? "delete" : "add"](`component ${one.name}`);
  draw();
  showComponents(answer, view, switched("component"));
  save();
}

function listen(columns) {
  byId("question").addEventListener("submit", (event) => { event.preventDefault(); measure(); });
  for (const id of ["density", "normalise", "drop"]) byId(id).addEventListener("change", measure);
  byId("kind").addEventListener("change", () => { byId("bins").value = ""; showKind(); if (byId("kind").value === "suggested") measure(); });
  byId("column").addEventListener("change", (event) => {
    if (event.target.value) { pickColumn(event.target.value, columns); event.target.value = ""; measure(); }
  });
  byId("keep").addEventListener("click", () => {
    if (!answer) return;
    byId("kind").value = "edges";
    byId("bins").value = answer.edges.map((edge) => Number(edge.toPrecision(12))).join(", ");
    showKind();
    byId("bins").focus();
  });
  byId("log").addEventListener("change", (event) => { view.asked = event.target.checked; draw(); save(); });
  byId("log-x").addEventListener("change", (event) => { view.askedX = event.target.checked; draw(); save(); });
  byId("mode").addEventListener("change", (event) => { view.mode = event.target.value; draw(); showComponents(answer, view, switched("component")); save(); });
  byId("matrix").addEventListener("change", () => chooseMatrix().catch((error) => showError(error.message)));
  byId("all").addEventListener("click", () => switchAll(true));
  byId("none").addEventListener("click", () => switchAll(false));
  for (const button of document.querySelectorAll("#downloads button")) button.addEventListener("click", () => takeHome(button.dataset.kind));
  for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
  let waiting = 0;
  new ResizeObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(draw); }).observe(byId("result"));
}

async function begin() {
  try {
    const release = await (await ask("api/release")).json();
    const columns = release.columns.map((one) => one.name);
    showRelease(release, (name) => { pickColumn(name, columns); measure(); });
    const state = recall();
    showQuestion(state.question?.observable ? state.question : { observable: columns[0] });
    view.off = new Set(Array.isArray(state.off) ? state.off : []);
    view.mode = state.mode === "single" ? "single" : "stacked";
    view.asked = typeof state.log === "boolean" ? state.log : null;
    view.askedX = state.logX === true;
    listen(columns);
    await measure();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    showError(error.message);
    byId("status").textContent = "";
  }
}

begin();
