/* One system: what it says of itself, every number, and its samples where they were published. */
"use strict";
(function (app) {
  const model = app.model();
  const box = app.byId("content");

  function settings(system) {
    const pairs = Object.entries(system.generation_settings);
    return pairs.length ? pairs.map(([name, value]) => `${name} = ${value}`).join(", ") : null;
  }

  /* An address of the board if the row has one, else what the description says, as text. */
  function linked(row, name) {
    if (row.linkMap.has(name)) return app.link(row.linkMap.get(name));
    return row.system[name] ? app.name(row.system[name]) : null;
  }

  function facts(row) {
    const { system } = row;
    const entries = [
      ["Revision", system.revision],
      ["Organisation", system.organisation],
      ["Authors", system.authors.join(", ")],
      ["Paper", linked(row, "paper")],
      ["Code", linked(row, "code")],
      ["Weights", linked(row, "weights")],
      ["Openness", app.word(row.openness)],
      ["Licence", row.licence],
      ["Parameters", system.parameters],
      ["Training data", system.training_data],
      ["Overlap with the test set", system.training_overlap],
      ["Hardware", system.hardware],
      ["Generation settings", settings(system)],
      ["Tasks", row.tasks.map(app.word).join(", ")],
      ["Run finished", row.submitted ? app.day(row.submitted) : null],
      ["Recomputed by", row.recomputed_by],
      ["Source", row.source ? app.source(row) : null],
      ["Bundle", row.bundle_sha256 ? app.el("code", { class: "hash" }, row.bundle_sha256) : null],
    ];
    const given = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return app.el(
      "dl",
      { class: "facts" },
      given.map(([name, value]) => [
        app.el("dt", null, name),
        app.el("dd", null, value instanceof Node ? value : app.name(value)),
      ]),
    );
  }

  function standing(row) {
    if (!row.place) return null;
    const { rank_low: low, rank_high: high, tier } = row.place;
    const score = row.overall;
    const figures = [
      ["Rank", app.range(low, high), `of ${model.ranked}, 95 % interval; tier ${tier}`],
      [
        "Overall",
        app.number(score.anchored, app.ANCHORED_DIGITS),
        app.interval(score.ci95, app.ANCHORED_DIGITS) + " (95 % interval)",
      ],
      ["Coverage", app.percent(row.coverage), `least over the metrics; n from ${row.n}`],
    ];
    return app.el(
      "dl",
      { class: "figures" },
      figures.map(([name, value, note]) =>
        app.el(
          "div",
          null,
          app.el("dt", null, name),
          app.el("dd", null, app.el("b", null, value), app.el("span", { class: "sub" }, note)),
        ),
      ),
    );
  }

  function profile(row) {
    if (row.scores.size === 0) return null;
    const lines = model.dimensions
      .filter((key) => row.scores.has(key))
      .map(function (key) {
        const score = row.scores.get(key);
        const number = { ...score, value: score.anchored, digits: app.ANCHORED_DIGITS };
        return app.el(
          "tr",
          null,
          app.el("th", { scope: "row" }, app.dimension(key)),
          app.el("td", { class: "wide" }, app.forest(score, model.scale, 320)),
          app.numberLines("td", "number", number),
        );
      });
    const caption = app.el(
      "caption",
      null,
      "Anchored scores: 0 is another sample\u2019s reply, 100 the real one. Bars are 95 % intervals.",
    );
    return app.el("table", { class: "profile" }, caption, app.el("tbody", null, lines));
  }

  function samples(row) {
    if (!row.samples || !app.sampleFiles.has(row.id)) return null;
    const place = app.el("div", { class: "samples" });
    const block = app.el("details", { class: "block" }, app.el("summary", null, app.el("h2", null, "Samples")), place);
    block.addEventListener(
      "toggle",
      function () {
        if (block.open) app.showSamples(place, row, model);
      },
      { once: true },
    );
    return block;
  }

  function show() {
    const id = app.readState(["id"]).get("id");
    const row = model.rowById.get(id);
    if (!row) {
      const message = id
        ? ["There is no system ", app.name(id), " on this board. "]
        : ["No system is named in the address. "];
      box.replaceChildren(
        app.el("h1", null, "No such system"),
        app.el("p", null, message, app.page("index", {}, "All systems")),
      );
      document.title = "No such system \u2013 VidChatBench";
      return;
    }
    document.title = app.clean(app.systemName(row)) + " \u2013 VidChatBench";
    const compare = row.trust === "reported" ? null : app.page("compare", { a: row.id }, "Compare with another system");
    box.replaceChildren(
      ...[
        app.el("h1", null, app.name(row.system.name)),
        app.el(
          "p",
          { class: "badge-line" },
          app.trustBadge(row.trust),
          " ",
          app.el("span", { class: "sub" }, app.TRUST.get(row.trust)),
        ),
        app.whyUnranked(row),
        standing(row),
        compare ? app.el("p", null, compare) : null,
        profile(row),
        app.el("h2", null, "What the system says of itself"),
        facts(row),
        app.el("h2", null, "Every number"),
        app.numbersTable(model, row),
        samples(row),
      ].filter(Boolean),
    );
  }

  app.onState(show);
  show();
  document.documentElement.dataset.ready = "true";
})(window.vidchatbench);
