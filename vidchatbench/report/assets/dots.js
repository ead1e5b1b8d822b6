// Names the sample under the pointer in a strip plot and opens it; by keyboard, the table of samples does the same.
const REACH = 9;

function dotsOf(figure) {
  const place = Number(figure.dataset.metric);
  const points = [];
  // Scored samples are dots, failed ones crosses; each path lists them in the order of the benchmark.
  const groups = [[".p-dots", (status) => !isFailed(status)], [".p-failed", isFailed]];
  for (const [selector, belongs] of groups) {
    const path = figure.querySelector(selector);
    const starts = path ? path.getAttribute("d").match(/M[-\d.]+ [-\d.]+/g) : [];
    const members = page.samples.map((_, sample) => sample).filter((sample) =>
      page.metrics[place].values[sample] !== null && belongs(statusOf(place, sample)));
    members.forEach((sample, k) => {
      const [x, y] = starts[k].slice(1).split(" ").map(Number);
      points.push({ sample, x, y });
    });
  }
  return points;
}

function watch(figure) {
  const drawing = figure.querySelector("svg.plot");
  if (!drawing) return;
  const tip = make("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  figure.append(tip);
  let points = null;
  let near = null;
  drawing.addEventListener("pointermove", (event) => {
    points = points || dotsOf(figure);
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const away = (point) => Math.hypot(point.x - x, point.y - y);
    near = points.reduce((best, point) => (best && away(best) <= away(point) ? best : point), null);
    if (near && away(near) > REACH) near = null;
    tip.hidden = !near;
    drawing.style.cursor = near ? "pointer" : "";
    if (!near) return;
    const place = Number(figure.dataset.metric);
    tip.textContent = `${page.samples[near.sample]}: ${shown(place, near.sample)}`;
    tip.style.left = `${near.x / scale + box.left - figure.getBoundingClientRect().left}px`;
    tip.style.top = `${near.y / scale + box.top - figure.getBoundingClientRect().top}px`;
  });
  drawing.addEventListener("pointerleave", () => {
    tip.hidden = true;
    near = null;
  });
  drawing.addEventListener("click", () => near && openSample(near.sample));
}

document.querySelectorAll(".strip").forEach(watch);
