// The form: what is asked, as the server takes it; and the address, which remembers it for a reload.

import { byId } from "./tables.js";

const WORDS = {
  suggested: ["How many at most", ""],
  equal: ["Number, low, high", "such as 20, 0, 100"],
  edges: ["Edges", "such as 0, 10, 20, 50"],
};

export function readQuestion() {
  return {
    observable: byId("observable").value.trim(),
    kind: byId("kind").value,
    bins: byId("bins").value.trim(),
    where: byId("where").value.trim(),
    nan: byId("drop").checked ? "drop" : "error",
    density: byId("density").checked,
    normalise: byId("normalise").checked,
  };
}

export function showQuestion(question) {
  byId("observable").value = question.observable ?? "";
  byId("kind").value = question.kind in WORDS ? question.kind : "suggested";
  byId("bins").value = question.bins ?? "";
  byId("where").value = question.where ?? "";
  byId("drop").checked = question.nan === "drop";
  byId("density").checked = question.density !== false;
  byId("normalise").checked = question.normalise === true;
  showKind();
}

export function showKind() {
  const [label, hint] = WORDS[byId("kind").value];
  byId("bins-label").textContent = label;
  byId("bins").placeholder = hint || "12";
}

/** Put a column where the cursor is in an expression, or in place of a column that stands alone. */
export function pickColumn(name, columns) {
  const field = byId("observable");
  const text = field.value;
  if (!text.trim() || columns.includes(text.trim())) field.value = name;
  else field.setRangeText(name, field.selectionStart, field.selectionEnd, "end");
  byId("kind").value = "suggested";
  byId("bins").value = "";
  showKind();
  field.focus();
}

/** What the address remembers; nothing if it is none of ours. */
export function recall() {
  try {
    const found = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}

export function remember(state) {
  history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(state))}`);
}
