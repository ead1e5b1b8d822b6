// The data of the page, and how its parts are made. Text only ever becomes a text node: nothing of a run is markup.
const page = JSON.parse(document.getElementById("page-data").textContent);
const STATUS = { o: "scored", m: "missing", i: "invalid", n: "not applicable", e: "error", j: "judge failed" };
const SIDES = ["initiator", "reference", "candidate"];

let details = null;
function detailsOf(metric, sample) {
  // Read when first asked for: it is the largest block, and most readers never open a sample.
  details = details || JSON.parse(document.getElementById("page-details").textContent);
  return details[metric][sample] || {};
}

function make(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name === "class") node.className = value;
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function shown(metric, sample) {
  const value = page.metrics[metric].values[sample];
  if (value === null) return "–";
  const text = value.toFixed(page.metrics[metric].decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function statusOf(metric, sample) {
  return page.metrics[metric].status[sample];
}

function isFailed(status) {
  return status === "m" || status === "i";
}

function reasonOf(metric, sample) {
  const place = page.metrics[metric].why[sample];
  return place === undefined ? "" : page.reasons[place];
}

function titled(metric) {
  const { title, arrow } = page.metrics[metric];
  return `${title} ${arrow}`;
}

function fillMetrics(select) {
  // Options of one dimension stand together under its name.
  let group = null;
  page.metrics.forEach((metric, place) => {
    if (!group || group.label !== metric.dimension) {
      group = make("optgroup", { label: metric.dimension });
      select.append(group);
    }
    group.append(make("option", { value: String(place) }, titled(place)));
  });
}
