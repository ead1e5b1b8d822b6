/* Every number of one system with its interval, n, coverage, rank and protocol: under a row, and on its own page. */
"use strict";
(function (app) {
  const HEADS = [
    ["Metric", "text"],
    ["Value", "number"],
    ["95 % interval", "number"],
    ["Anchored", "number"],
    ["n", "number"],
    ["Failed", "number"],
    ["Coverage", "number"],
    ["Rank", "number"],
    ["Protocol", "text"],
  ];

  /* The number over its interval and what else is told of it; semibold where no system is significantly better. */
  app.numberLines = (tag, name, number) => {
    const { value, ci95, digits, place, aggregation, more } = number;
    const best = place && place.tier === 1 ? " best" : "";
    const lines = [app.number(value, digits), app.interval(ci95, digits, aggregation), more].filter(Boolean);
    return app.lines(tag, name + best, lines);
  };

  const count = (number) => (number === null ? app.NONE : String(number));

  /* n is what was scored, of what the metric applies to. */
  app.countText = function (cell) {
    if (cell.n_ok === null) return cell.n_expected === null ? "not stated" : `${cell.n_expected} (stated)`;
    return `${cell.n_ok} / ${cell.n_expected - cell.n_not_applicable}`;
  };

  const rankText = (place) => (place ? `${app.range(place.rank_low, place.rank_high)} (tier ${place.tier})` : app.NONE);

  function scoreLine(title, score, of) {
    const digits = app.ANCHORED_DIGITS;
    const cells = [
      app.el("th", { scope: "row" }, title),
      app.el("td", { class: "number" }, app.number(score.anchored, digits)),
      app.el("td", { class: "number" }, app.interval(score.ci95, digits) || app.NONE),
      app.el("td", { class: "number quiet", colspan: 4 }, `${of === "dimension" ? "geometric mean" : "mean"} of ${app.plural(score.metrics.length, of)}`),
      app.el("td", { class: "number" }, rankText(score.place)),
      app.el("td", { class: "quiet" }, "anchored, 0\u2013100"),
    ];
    return app.el("tr", { class: "score-line" }, cells);
  }

  function metricLine(column, cell) {
    const why = cell.unranked ? app.el("span", { class: "sub" }, cell.unranked) : null;
    const errors = cell.n_error ? ` (+${cell.n_error} by an error)` : "";
    const unit = column.unit ? app.el("span", { class: "unit" }, " " + column.unit) : null;
    const direction = app.el(
      "span",
      { "aria-label": app.better(column.direction), role: "img" },
      app.arrow(column.direction),
    );
    return app.el(
      "tr",
      null,
      app.el("th", { scope: "row" }, column.title, " ", direction, why),
      app.el("td", { class: "number" }, app.number(cell.value, column.digits), unit),
      app.el("td", { class: "number" }, app.interval(cell.ci95, column.digits, column.aggregation) || app.NONE),
      app.el(
        "td",
        { class: "number" },
        cell.anchored === null ? app.NONE : app.number(cell.anchored, app.ANCHORED_DIGITS),
      ),
      app.el("td", { class: "number" }, app.countText(cell)),
      app.el("td", { class: "number" }, count(cell.n_failed) + errors),
      app.el("td", { class: "number" }, app.percent(cell.coverage)),
      app.el("td", { class: "number" }, rankText(cell.place)),
      app.el("td", { class: "protocol" }, column.protocol),
    );
  }

  app.numbersTable = function (model, row) {
    const bodies = [];
    if (row.overall) bodies.push(app.el("tbody", null, scoreLine("Overall", row.overall, "dimension")));
    const present = model.metrics.filter((column) => row.cells.has(column.id));
    for (const dimension of new Set(present.map((column) => column.dimension))) {
      const score = row.scores.get(dimension);
      const head = score
        ? scoreLine(app.dimension(dimension), score, "metric")
        : app.el(
            "tr",
            { class: "score-line" },
            app.el("th", { scope: "rowgroup", colspan: HEADS.length }, app.dimension(dimension)),
          );
      const members = present.filter((column) => column.dimension === dimension);
      bodies.push(
        app.el(
          "tbody",
          null,
          head,
          members.map((column) => metricLine(column, row.cells.get(column.id))),
        ),
      );
    }
    const heads = HEADS.map(([title, kind]) => app.el("th", { scope: "col", class: kind }, title));
    const caption = app.el("caption", { class: "unseen" }, `Every number of ${app.systemName(row)}`);
    const table = app.el(
      "table",
      { class: "numbers" },
      caption,
      app.el("thead", null, app.el("tr", null, heads)),
      bodies,
    );
    return app.el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `Every number of ${app.systemName(row)}` },
      table,
    );
  };

  /* Where a reported row is cited from, as a link where the row has one. */
  app.source = (row) => app.link(row.linkMap.get("paper") || row.source, row.source);

  app.whyUnranked = function (row) {
    const flags = (row.flags || []).map((flag) => app.el("p", { class: "why" }, "Note: " + flag + "."));
    if (row.ranked || row.why_unranked.length === 0) return flags.length ? flags : null;
    return [...flags, app.el("p", { class: "why" }, "Not ranked: " + row.why_unranked.join("; ") + ".")];
  };
})((window.vidchatbench = window.vidchatbench || {}));
