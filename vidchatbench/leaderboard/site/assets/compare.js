/*
 * Two systems side by side. The differences are those of the numbers on the board; whether one is real is a paired
 * test's to say, which needs the samples: `vidchatbench compare`.
 */
"use strict";
(function (app) {
  const FIELDS = ["a", "b"];
  const model = app.model();
  const selects = new Map(FIELDS.map((field) => [field, app.byId("select-" + field)]));
  let state = app.readState(FIELDS);

  const rows = app.sorted(model.rows, { kind: "text", value: (row) => app.systemName(row) }, false);
  for (const [field, list] of selects) {
    list.append(
      app.el("option", { value: "" }, "choose a system"),
      ...rows.map((row) => app.el("option", { value: row.id }, app.systemName(row))),
    );
    list.addEventListener("change", () => set(field, list.value));
  }

  function numbers(score, digits) {
    if (!score || score.value === null)
      return app.el("td", { class: "number" }, app.el("span", { class: "none" }, app.NONE));
    return app.numberLines("td", "number", { value: score.value, ci95: score.ci95, digits });
  }

  /* No system is named here: a sign is no finding, and only the paired test on the samples makes one. */
  function reading(a, b) {
    if (!a.ci95 || !b.ci95) return "no intervals";
    const apart = a.ci95[0] > b.ci95[1] || b.ci95[0] > a.ci95[1];
    return apart ? "intervals apart" : "intervals overlap";
  }

  function line(title, note, a, b, digits, n) {
    const both = a && b && a.value !== null && b.value !== null;
    const difference = both ? a.value - b.value : null;
    return app.el(
      "tr",
      null,
      app.el("th", { scope: "row" }, title, app.el("span", { class: "sub protocol" }, app.breakable(note))),
      numbers(a, digits),
      numbers(b, digits),
      app.el(
        "td",
        { class: "number" },
        app.el("span", { class: "value" }, both ? app.signed(difference, digits) : app.NONE),
      ),
      app.el("td", null, app.el("span", { class: "sub" }, both ? reading(a, b) : "not in both")),
      app.el("td", { class: "number" }, n),
    );
  }

  const asScore = (score) => (score ? { value: score.anchored, ci95: score.ci95 } : null);

  function scoreLines(a, b) {
    const digits = app.ANCHORED_DIGITS;
    const entries = [
      ["Overall", a.overall, b.overall],
      ...model.dimensions.map((key) => [app.dimension(key), a.scores.get(key), b.scores.get(key)]),
    ];
    return entries
      .filter(([, x, y]) => x || y)
      .map(([title, x, y]) => line(title, "anchored, 0\u2013100", asScore(x), asScore(y), digits, ""));
  }

  function metricLines(a, b) {
    const either = model.metrics.filter((column) => a.cells.has(column.id) || b.cells.has(column.id));
    return either.map(function (column) {
      const [x, y] = [a.cells.get(column.id), b.cells.get(column.id)];
      const counts = [x, y].map((cell) => (cell ? app.countText(cell) : app.NONE));
      const n = [app.el("span", { class: "value" }, counts[0]), app.el("span", { class: "value" }, counts[1])];
      const title = `${column.title} ${app.arrow(column.direction)}` + (column.unit ? ` (${column.unit})` : "");
      return line(title, column.protocol, x, y, column.digits, n);
    });
  }

  function heads(a, b) {
    const system = (letter, row) =>
      app.el(
        "th",
        { scope: "col", class: "number head-system" },
        app.el("span", { class: "letter" }, letter),
        app.page("system", { id: row.id }, app.name(app.systemName(row))),
        app.trustBadge(row.trust),
      );
    const plain = (title, kind) => app.el("th", { scope: "col", class: kind }, title);
    return app.el(
      "tr",
      null,
      app.el("th", { scope: "col", class: "text" }, app.el("span", { class: "unseen" }, "Number")),
      system("A", a),
      system("B", b),
      plain("A \u2212 B", "number"),
      plain("Reading", "text"),
      plain("n of A, B", "number"),
    );
  }

  function rankLine(a, b) {
    if (!a.place || !b.place) return null;
    const cell = (row) =>
      app.el(
        "td",
        { class: "number" },
        app.el("span", { class: "value" }, app.range(row.place.rank_low, row.place.rank_high)),
        app.el("span", { class: "ci" }, `tier ${row.place.tier}`),
      );
    const apart = a.place.rank_high < b.place.rank_low || b.place.rank_high < a.place.rank_low;
    return app.el(
      "tr",
      null,
      app.el("th", { scope: "row" }, "Rank", app.el("span", { class: "sub" }, `95 % interval, of ${model.ranked}`)),
      cell(a),
      cell(b),
      app.el("td", { class: "number" }, ""),
      app.el("td", null, app.el("span", { class: "sub" }, apart ? "intervals apart" : "intervals overlap")),
      app.el("td", { class: "number" }, ""),
    );
  }

  function table(a, b) {
    const head = (title) => app.el("tr", { class: "group" }, app.el("th", { colspan: 6, scope: "rowgroup" }, title));
    const scores = [rankLine(a, b), ...scoreLines(a, b)].filter(Boolean);
    const metrics = metricLines(a, b);
    const caption = app.el(
      "caption",
      { class: "unseen" },
      `${app.systemName(a)} and ${app.systemName(b)} side by side`,
    );
    const bodies = [
      ["Rank and anchored scores", scores],
      ["Metrics", metrics],
    ]
      .filter(([, lines]) => lines.length)
      .map(([title, lines]) => app.el("tbody", null, head(title), lines));
    return app.el("table", { class: "compare" }, caption, app.el("thead", null, heads(a, b)), bodies);
  }

  function show() {
    for (const [field, list] of selects) list.value = model.rowById.has(state.get(field)) ? state.get(field) : "";
    const [a, b] = FIELDS.map((field) => model.rowById.get(state.get(field)));
    const unknown = FIELDS.map((field) => state.get(field)).filter((id) => id && !model.rowById.has(id));
    const ready = a && b && a !== b;
    const [box, hint] = [app.byId("comparison"), app.byId("hint")];
    box.hidden = app.byId("verdict").hidden = !ready;
    hint.hidden = Boolean(ready);
    if (unknown.length) hint.textContent = `Not on this board: ${app.clean(unknown.join(", "))}.`;
    else hint.textContent = a && a === b ? "These are one and the same system: choose another." : "Choose two systems.";
    if (!ready) return void box.replaceChildren();
    document.title = `${app.clean(app.systemName(a))} and ${app.clean(app.systemName(b))} \u2013 VidChatBench`;
    box.replaceChildren(table(a, b));
  }

  function set(field, value) {
    state.set(field, value);
    app.writeState(state);
    show();
  }

  app.byId("swap").addEventListener("click", function () {
    state = new Map([
      ["a", state.get("b")],
      ["b", state.get("a")],
    ]);
    app.writeState(state);
    show();
  });
  app.onState(function () {
    state = app.readState(FIELDS);
    show();
  });
  show();
  document.documentElement.dataset.ready = "true";
})(window.vidchatbench);
