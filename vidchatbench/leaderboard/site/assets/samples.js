/*
 * A system's samples, brought when the reader asks for them. They come as a script, because a page that was opened from
 * a folder may not fetch; its name is checked against the row's id, whatever the board says.
 */
"use strict";
(function (app) {
  const SAFE_ID = /^[a-z0-9][a-z0-9._-]*(@[a-z0-9][a-z0-9._-]*)?$/;
  const waiting = new Map();
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("vidchatbench", { createScriptURL: (address) => address })
    : { createScriptURL: (address) => address };

  /* Called by the samples' script. */
  app.receiveSamples = function (found) {
    const resolve = waiting.get(found.row);
    if (resolve) resolve(found);
  };

  function load(row) {
    return new Promise(function (resolve, reject) {
      if (!SAFE_ID.test(row.id)) return void reject(new Error("unsafe id"));
      waiting.set(row.id, resolve);
      const script = document.createElement("script");
      const name = `samples/${encodeURIComponent(row.id)}.js?v=${app.sampleFiles.get(row.id)}`;
      script.src = policy.createScriptURL(name);
      script.addEventListener("error", () => reject(new Error("no such file")));
      document.head.append(script);
    });
  }

  const statusWord = (status) => (status === "ok" ? "ok" : app.word(status));

  function columnsFor(column, digits) {
    const number = (key, title, note) => ({
      key,
      title,
      note,
      kind: "number",
      width: 7,
      lower: column.direction === "higher",
      value: (line) => line[key],
      cell: (line) => app.number(line[key], digits),
    });
    const text = (key, title, width, shown) => ({
      key,
      title,
      kind: "text",
      width,
      value: (line) => line[key],
      cell: shown || ((line) => (line[key] ? app.name(line[key]) : app.NONE)),
    });
    return [
      { ...text("id", "Sample", 12), rowHeader: true, className: "c-system" },
      text("cluster", "Speaker", 10),
      text("task", "Task", 7),
      number("value", "Value", column.unit),
      number("counted", "Counted", "in the mean"),
      text("status", "Status", 9, (line) =>
        app.el("span", { class: "status status-" + (line.status === "ok" ? "ok" : "other") }, statusWord(line.status)),
      ),
      text("reason", "Reason", 16),
    ];
  }

  function linesOf(found, scores) {
    const reasons = new Map(Object.entries(scores.reasons));
    return found.samples.map((sample, place) => ({
      id: sample.id,
      cluster: sample.cluster,
      task: sample.task ? app.word(sample.task) : null,
      value: scores.values[place],
      counted: scores.counted[place],
      status: scores.statuses[place],
      reason: reasons.get(String(place)) || null,
    }));
  }

  function draw(place, found, model) {
    const metrics = new Map(Object.entries(found.metrics));
    const known = model.metrics.filter((column) => metrics.has(column.id));
    const choice = app.el(
      "select",
      { id: "sample-metric", change: () => change() },
      known.map((column) => app.el("option", { value: column.id }, column.title)),
    );
    const only = app.el("input", { type: "checkbox", id: "sample-faults", change: () => order() });
    const box = app.el("div", { class: "table-box" });
    const note = app.el("p", { class: "sub", role: "status" });
    const form = app.el(
      "div",
      { class: "fields" },
      app.el("div", { class: "field" }, app.el("label", { for: "sample-metric" }, "Metric"), choice),
      app.el("div", { class: "choice" }, only, app.el("label", { for: "sample-faults" }, "only those without a score")),
    );
    place.replaceChildren(form, note, box);
    const label = "Scores of the samples";
    const table = new app.SortableTable({
      box,
      caption: label,
      label,
      rowKey: (line) => line.id,
      onSort: (key) => order(key),
    });
    let lines = [];
    let sort = null;
    function change() {
      const column = model.metricById.get(choice.value);
      const scores = metrics.get(choice.value);
      const columns = columnsFor(column, app.digits(scores.values.filter((value) => value !== null)));
      lines = linesOf(found, scores);
      table.setColumns(columns);
      // Worst first, what was charged the worst value before all: what a reader of samples looks for.
      const key = scores.counted.some((value) => value !== null) ? "counted" : "value";
      sort = { column: columns.find((one) => one.key === key), descending: column.direction === "lower" };
      order();
    }
    function order(key) {
      const { columns } = table;
      if (key) {
        const next = app.nextSort(
          sort,
          columns.find((one) => one.key === key),
        );
        sort = app.readSort(next, columns, key);
      }
      const shown = lines.filter((line) => !only.checked || line.status !== "ok");
      table.show([{ rows: app.sorted(shown, sort.column, sort.descending) }], sort.column.key, sort.descending);
      const column = model.metricById.get(choice.value);
      const count = `${shown.length} of ${app.plural(lines.length, "sample")}`;
      note.textContent = `${count}; protocol ${app.clean(column.protocol)}; ${app.better(column.direction)}.`;
    }
    if (known.length) change();
    else place.replaceChildren(app.el("p", null, "The samples carry no metric of this board."));
  }

  app.showSamples = async function (place, row, model) {
    place.replaceChildren(app.el("p", { role: "status" }, "Loading\u2026"));
    let found;
    try {
      found = await load(row);
    } catch (error) {
      place.replaceChildren(app.el("p", { role: "status" }, `The samples could not be loaded: ${error.message}.`));
      return;
    }
    draw(place, found, model);
  };
})((window.vidchatbench = window.vidchatbench || {}));
