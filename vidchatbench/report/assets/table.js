// The table of samples. Rows are made once per choice of columns; sorting and filtering only move and hide them.
const table = document.getElementById("sample-table");
const search = document.getElementById("sample-search");
const metricChoice = document.getElementById("sample-metric");
const statusChoice = document.getElementById("sample-status");
const count = document.getElementById("sample-count");
const SHORT = { m: "missing", i: "invalid", n: "n/a", e: "error", j: "judge failed", " ": "–" };
// Of few samples ten would be all of them.
const MOST_TINTED = Math.ceil(page.samples.length / 10);
const worstOf = page.metrics.map((metric) => new Set(metric.worstScored.slice(0, MOST_TINTED)));
const order = new Intl.Collator("en", { numeric: true });
const view = { columns: [], rows: [], by: null, down: false };

function chosenColumns() {
  const wanted = metricChoice.value;
  return page.metrics.map((_, place) => place).filter((place) => wanted === "all" || wanted === String(place));
}

function buildTable() {
  view.columns = chosenColumns();
  if (typeof view.by === "number" && !view.columns.includes(view.by)) view.by = null;
  const body = document.createElement("tbody");
  view.rows = page.samples.map((name, sample) => sampleRow(name, sample));
  const widths = make("colgroup", {}, make("col", { class: "name" }), ...view.columns.map(() => make("col")));
  table.querySelectorAll("colgroup, thead, tbody").forEach((part) => part.remove());
  table.append(widths, tableHead(), body);
  arrange();
}

function sampleRow(name, sample) {
  const row = document.createElement("tr");
  const open = make("button", { type: "button", title: `${name} (${page.clusters[sample]})` }, name);
  open.dataset.sample = String(sample);
  row.append(make("th", { scope: "row" }, open));
  for (const metric of view.columns) row.append(valueCell(metric, sample));
  return row;
}

function valueCell(metric, sample) {
  const cell = document.createElement("td");
  const status = statusOf(metric, sample);
  if (status === "o") {
    cell.textContent = shown(metric, sample);
    if (worstOf[metric].has(sample)) cell.className = "worst";
    return cell;
  }
  cell.textContent = isFailed(status) && page.metrics[metric].values[sample] !== null
    ? `${SHORT[status]} ${shown(metric, sample)}` : SHORT[status];
  cell.className = status === "n" || status === " " ? "none" : "lost";
  cell.title = reasonOf(metric, sample);
  return cell;
}

function tableHead() {
  const families = document.createElement("tr");
  families.append(make("th", { class: "name", rowSpan: 2, scope: "col" }, sortButton("Sample", "name")));
  const metrics = document.createElement("tr");
  let family = null;
  for (const place of view.columns) {
    const { dimension } = page.metrics[place];
    if (!family || family.textContent !== dimension) {
      family = make("th", { class: "family", scope: "colgroup", colSpan: 0 }, dimension);
      family.colSpan = 1;
      families.append(family);
    } else {
      family.colSpan += 1;
    }
    metrics.append(make("th", { scope: "col" }, sortButton(titled(place), place)));
  }
  return make("thead", {}, families, metrics);
}

function sortButton(text, by) {
  const button = make("button", { type: "button" }, make("span", {}, text));
  button.addEventListener("click", () => {
    view.down = view.by === by ? !view.down : false;
    view.by = by;
    arrange();
  });
  button.dataset.by = String(by);
  return button;
}

function sorted() {
  const all = page.samples.map((_, sample) => sample);
  const sign = view.down ? -1 : 1;
  if (view.by === null) return all;
  if (view.by === "name") return all.sort((a, b) => sign * order.compare(page.samples[a], page.samples[b]) || a - b);
  const { values } = page.metrics[view.by];
  return all.sort((a, b) => {
    // What has no value stands last, whichever way the others are sorted.
    if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b;
    return sign * (values[a] - values[b]) || a - b;
  });
}

function passes(sample) {
  const text = search.value.trim().toLowerCase();
  const found = !text || page.samples[sample].toLowerCase().includes(text) || page.clusters[sample].toLowerCase().includes(text);
  if (!found || statusChoice.value === "any") return found;
  return view.columns.some((metric) => statusChoice.value.includes(statusOf(metric, sample)));
}

function arrange() {
  const kept = sorted().filter(passes);
  table.tBodies[0].replaceChildren(...kept.map((sample) => view.rows[sample]));
  for (const head of table.tHead.querySelectorAll("th[scope=col]")) {
    const mine = String(view.by) === head.firstChild.dataset.by;
    if (mine) head.setAttribute("aria-sort", view.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  const by = view.by === null ? "" : `, sorted by ${view.by === "name" ? "sample" : page.metrics[view.by].title}`;
  count.value = `${kept.length} of ${page.samples.length} samples${by}`;
}

table.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-sample]");
  if (button) openSample(Number(button.dataset.sample));
});
search.addEventListener("input", arrange);
statusChoice.addEventListener("change", arrange);
metricChoice.addEventListener("change", buildTable);
document.getElementById("sample-reset").addEventListener("click", () => {
  search.value = "";
  statusChoice.value = "any";
  metricChoice.value = "all";
  view.by = null;
  view.down = false;
  buildTable();
});
fillMetrics(metricChoice);
buildTable();
