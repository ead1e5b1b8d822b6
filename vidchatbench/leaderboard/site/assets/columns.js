/*
 * The columns of the board: what each sorts by, shows, and writes into an export. A number always stands over its 95 %
 * interval; its n, coverage and protocol are one step away, in the row's details.
 */
"use strict";
(function (app) {
  const FOREST_WIDTH = 72;

  const none = () => app.el("span", { class: "none" }, app.NONE);

  function rankColumn(model) {
    return {
      key: "rank",
      title: "Rank",
      kind: "number",
      lower: true,
      width: 6.2,
      narrow: 3.5,
      className: "c-rank",
      plain: true,
      value: (row) => (row.place ? row.place.rank : null),
      cell(row) {
        if (!row.place) return none();
        const { rank, rank_low: low, rank_high: high, tier } = row.place;
        const spread = app.el(
          "span",
          { class: "ci" },
          app.range(low, high),
          app.el("span", { class: "tier" }, ` \u00b7 tier ${tier}`),
        );
        return [
          app.el("span", { class: "rank" }, app.el("b", null, rank), app.rankBar(row.place, model.ranked)),
          spread,
        ];
      },
      fields: (row) =>
        ["rank", "rank_low", "rank_high", "tier"].map((name) => [name, row.place ? row.place[name] : null]),
      latex: (row) => (row.place ? app.range(row.place.rank_low, row.place.rank_high) : app.NONE),
    };
  }

  /* options: {toggle(row), isOpen(row)} for the button that opens a row's details */
  function systemColumn(options) {
    return {
      key: "system",
      title: "System",
      kind: "text",
      width: 12.6,
      narrow: 9,
      className: "c-system",
      rowHeader: true,
      plain: true,
      value: (row) => row.system.name,
      cell(row) {
        const open = options.isOpen(row);
        const label = `Numbers of ${app.systemName(row)}: n, intervals, protocols`;
        const more = { type: "button", class: "more", "aria-expanded": String(open), "aria-label": label };
        const button = app.el(
          "button",
          { ...more, click: () => options.toggle(row) },
          app.el("span", { class: "chevron", "aria-hidden": "true" }),
        );
        const name = app.page("system", { id: row.id }, app.name(row.system.name), { class: "system-name" });
        // The sources of reported rows stand above their table.
        const origin = row.trust === "reported" ? null : row.system.organisation;
        const by = [row.system.revision, origin].filter(Boolean);
        const sub = app.el(
          "span",
          { class: "sub" },
          row.flags && row.flags.length ? app.el("b", { class: "flag", title: row.flags.join("; ") }, "copies? ") : null,
          by.flatMap((text, k) => [k ? " \u00b7 " : null, app.name(text)]),
        );
        return app.el("div", { class: "system-cell" }, button, app.el("div", { class: "system-text" }, name, sub));
      },
      fields: (row) => [
        ["id", row.id],
        ["system", row.system.name],
        ["revision", row.system.revision],
      ],
      latex: (row) => app.systemName(row),
    };
  }

  const trustColumn = () => ({
    key: "trust",
    title: "Trust",
    kind: "text",
    width: 7,
    narrow: 3.6,
    className: "c-trust",
    plain: true,
    value: (row) => app.word(row.trust),
    cell: (row) => app.trustBadge(row.trust),
    fields: (row) => [["trust", row.trust]],
    latex: (row) => app.word(row.trust),
  });

  function scoreColumn(key, title, score, options) {
    const name = key.replace(":", "_").replace("dim_", "");
    return {
      key,
      title,
      kind: "number",
      width: options.width,
      narrow: options.narrow,
      digits: app.ANCHORED_DIGITS,
      anchored: true,
      className: options.className,
      value: (row) => (score(row) ? score(row).anchored : null),
      [options.drawn ? "cell" : "number"](row) {
        const found = score(row);
        const number = found && { ...found, value: found.anchored, digits: app.ANCHORED_DIGITS };
        if (!options.drawn) return number;
        if (!found) return none();
        const text = app.numberLines("span", "beside", number);
        return app.el("div", { class: "drawn" }, app.forest(found, options.scale, FOREST_WIDTH), text);
      },
      fields(row) {
        const found = score(row);
        const ci = found && found.ci95 ? found.ci95 : [null, null];
        return [
          [name, found ? found.anchored : null],
          [name + "_low", ci[0]],
          [name + "_high", ci[1]],
        ];
      },
      score: (row) =>
        score(row) ? { value: score(row).anchored, ci95: score(row).ci95, place: score(row).place } : null,
    };
  }

  /* Where nothing is anchored there is no overall rank, and each column says its own. */
  const rankLine = (place) =>
    place ? `rank ${app.range(place.rank_low, place.rank_high)} \u00b7 tier ${place.tier}` : "";

  function metricColumn(column, model) {
    const cellOf = (row) => row.cells.get(column.id);
    return {
      key: column.id,
      title: `${column.title}\u00a0${app.arrow(column.direction)}`,
      kind: "number",
      width: 8.2,
      metric: column,
      lower: column.direction === "lower",
      digits: column.digits,
      note: [
        column.unit ? app.el("span", null, column.unit) : null,
        app.el("span", { class: "protocol" }, app.breakable(column.protocol)),
      ],
      value: (row) => (cellOf(row) ? cellOf(row).value : null),
      number(row) {
        const cell = cellOf(row);
        if (!cell || cell.value === null) return null;
        const { aggregation, digits } = column;
        return { ...cell, digits, aggregation, more: model.anchored ? "" : rankLine(cell.place) };
      },
      fields(row) {
        const cell = cellOf(row);
        const ci = cell && cell.ci95 ? cell.ci95 : [null, null];
        const found = cell || { value: null, n_ok: null, n_expected: null };
        return [
          [column.id, found.value],
          [column.id + " low", ci[0]],
          [column.id + " high", ci[1]],
          [column.id + " n", found.n_ok ?? found.n_expected],
          [column.id + " protocol", column.protocol],
        ];
      },
      score: (row) => (cellOf(row) && cellOf(row).value !== null ? cellOf(row) : null),
    };
  }

  const countColumns = () => [
    {
      key: "n",
      title: "n",
      kind: "number",
      width: 3.4,
      plain: true,
      value: (row) => row.n,
      cell: (row) => (row.n === null ? app.NONE : row.n),
      fields: (row) => [["n_least", row.n]],
      latex: (row) => (row.n === null ? app.NONE : String(row.n)),
    },
    {
      key: "coverage",
      title: "Coverage",
      kind: "number",
      width: 5.8,
      plain: true,
      value: (row) => row.coverage,
      cell: (row) => app.percent(row.coverage),
      fields: (row) => [["coverage_least", row.coverage]],
      latex: (row) => app.percent(row.coverage),
    },
  ];

  /* Every column of the main table in its order; `always` ones cannot be hidden. */
  app.mainColumns = function (model, options) {
    const overall = { scale: model.scale, drawn: true, width: 10.8, narrow: 5.4, className: "c-overall" };
    const pick = {
      key: "pick",
      head: [app.el("span", { class: "unseen" }, "Compare"), app.el("span", { "aria-hidden": "true" }, "\u21c4")],
      kind: "pick",
      width: 2.1,
      narrow: 0,
      always: true,
      cell: options.pick,
    };
    const about = (column) => ({ ...column, group: "About" });
    const scores = [
      scoreColumn("overall", "Overall", (row) => row.overall, overall),
      ...model.dimensions.map((key) =>
        scoreColumn("dim:" + key, app.dimension(key), (row) => row.scores.get(key), { width: 5.6 }),
      ),
    ];
    const system = { ...systemColumn(options), always: true };
    const counts = countColumns().map(about);
    const metrics = model.metrics
      .filter((column) => !column.reported)
      .map((column) => ({
        ...metricColumn(column, model),
        atFirst: !model.anchored,
        group: app.dimension(column.dimension),
      }));
    // Without an overall rank nothing stands before the system, and the metrics are what one comes for.
    if (!model.anchored) {
      return [{ ...system, className: "c-system alone" }, pick, ...metrics, about(trustColumn()), ...counts];
    }
    return [
      { ...rankColumn(model), always: true },
      system,
      pick,
      about(trustColumn()),
      ...scores.map((column) => ({ ...column, group: "Scores" })),
      ...counts,
      ...metrics,
    ];
  };

  /* What is shown until the reader chooses: all but the metrics, which are shown where there are no other scores. */
  app.isShownAtFirst = (column) => column.always || !column.metric || column.atFirst;

  app.reportedColumns = (model, options) => [
    { ...systemColumn(options), width: 22, narrow: 12 },
    ...model.metrics.filter((column) => column.reported).map((column) => ({ ...metricColumn(column, model), width: 7.4 })),
  ];
})((window.vidchatbench = window.vidchatbench || {}));
