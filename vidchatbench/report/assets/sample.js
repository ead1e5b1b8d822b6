// All that is known of one sample, in a dialog over the page.
const dialog = document.getElementById("sample");

function openSample(sample) {
  pauseAll();
  document.getElementById("sample-title").textContent = page.samples[sample];
  document.getElementById("sample-about").textContent = `Identity ${page.clusters[sample]}`;
  document.getElementById("sample-clips").replaceChildren(makePlayer(sample));
  const head = make("tr", {}, ...["Metric", "Value", "Status", "Details"].map((name, place) =>
    make("th", { scope: "col", class: place === 1 ? "num" : "" }, name)));
  const rows = page.metrics.map((metric, place) => scoreRow(metric, place, sample));
  document.getElementById("sample-scores").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  dialog.showModal();
  dialog.scrollTop = 0;
}

function scoreRow(metric, place, sample) {
  const status = statusOf(place, sample);
  const unit = metric.unit && metric.values[sample] !== null ? ` ${metric.unit}` : "";
  const told = [reasonOf(place, sample), ...Object.entries(detailsOf(place, sample)).map(([name, value]) =>
    `${name.replaceAll("_", " ")} ${typeof value === "number" ? Number(value.toPrecision(4)) : value}`)];
  if (isFailed(status) && !metric.isSet) told.unshift("charged the worst value");
  if (metric.isSet && status === "o") told.unshift("distance between the means of the two sides");
  return make("tr", {},
    make("th", { scope: "row" }, titled(place)),
    make("td", { class: "num" }, shown(place, sample) + unit),
    make("td", { class: isFailed(status) || status === "e" || status === "j" ? "bad" : "" }, STATUS[status] || "–"),
    make("td", {}, told.filter(Boolean).join("; ")));
}

document.getElementById("sample-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  // Only the backdrop is the dialog itself and nothing in it.
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => {
  pauseAll();
  document.getElementById("sample-clips").replaceChildren();
});
