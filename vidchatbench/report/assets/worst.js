// The worst samples of the chosen metric, each with its three clips.
const worstMetric = document.getElementById("worst-metric");
const worstFailed = document.getElementById("worst-failed");
const worstList = document.getElementById("worst-list");

function showWorst() {
  pauseAll();
  const place = Number(worstMetric.value);
  const metric = page.metrics[place];
  // A failed sample is no part of a set, so there is nothing to include.
  worstFailed.disabled = metric.isSet;
  const found = worstFailed.checked || metric.isSet ? metric.worst : metric.worstScored;
  worstList.replaceChildren(...found.map((sample) => worstCard(place, sample)));
  const failed = [...metric.status].filter(isFailed).length;
  const left = metric.isSet ? "left out of the set" : "charged the worst value; they are not in this list";
  const note = failed && (metric.isSet || !worstFailed.checked)
    ? `${failed} failed ${failed === 1 ? "sample is" : "samples are"} ${left.replace("they are", failed === 1 ? "it is" : "they are")}.` : "";
  document.getElementById("worst-count").value = found.length ? note : `No sample has a value. ${note}`;
}

function worstCard(place, sample) {
  const status = statusOf(place, sample);
  const unit = page.metrics[place].unit;
  const open = make("button", { type: "button" }, page.samples[sample]);
  open.addEventListener("click", () => openSample(sample));
  const value = make("span", { class: "num" }, make("b", {}, shown(place, sample)), unit ? ` ${unit}` : "");
  const head = make("p", { class: "card-head" }, open, value);
  if (status !== "o") {
    head.append(make("span", { class: "bad" }, `${STATUS[status]}, charged the worst value`), make("span", { class: "muted" }, reasonOf(place, sample)));
  }
  return make("li", {}, head, makePlayer(sample));
}

if (page.metrics.length) {
  fillMetrics(worstMetric);
  // The first metric that has something to show, so that the section does not open empty.
  const first = page.metrics.findIndex((metric) => metric.worstScored.length > 0);
  worstMetric.value = String(Math.max(first, 0));
  worstFailed.checked = first < 0 || statusOf(first, page.metrics[first].worst[0]) === "o";
  worstMetric.addEventListener("change", showWorst);
  worstFailed.addEventListener("change", showWorst);
  showWorst();
}
