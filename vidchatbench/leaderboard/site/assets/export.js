/*
 * Exactly what is shown, in its order, as CSV, JSON, LaTeX and BibTeX. The snapshot stands in each: which benchmark,
 * which manifest, which board. A view: {model, columns, rows, state}, where `columns` are those that carry data.
 */
"use strict";
(function (app) {
  const short = (hash) => hash.slice(0, 12);

  app.snapshotText = function (model) {
    const { benchmark, suite } = model.board;
    const { sha256, commit } = model.snapshot;
    const parts = [
      `${benchmark.name} ${benchmark.version} (${benchmark.n_samples} samples)`,
      `suite ${suite.name} v${suite.version}`,
      `manifest ${short(benchmark.manifest_sha256)}`,
      `board ${short(sha256)}`,
    ];
    return (commit ? [...parts, `commit ${commit}`] : parts).join(", ");
  };

  // A spreadsheet must not take a name for a formula.
  const harmless = (text) => (/^[=+\-@\t\r]/.test(text) ? "'" + text : text);

  function csvField(value) {
    if (value === null || value === undefined) return "";
    const text = typeof value === "number" ? String(value) : harmless(app.clean(value));
    return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }

  app.toCsv = function (view) {
    const extra = [
      ["bundle_sha256", (row) => row.bundle_sha256],
      ["snapshot", () => app.snapshotText(view.model)],
    ];
    const lines = view.rows.map((row) => [
      ...view.columns.flatMap((column) => column.fields(row)),
      ...extra.map(([name, get]) => [name, get(row)]),
    ]);
    if (lines.length === 0) return "";
    return [lines[0].map(([name]) => csvField(name)), ...lines.map((line) => line.map(([, value]) => csvField(value)))]
      .map((line) => line.join(",") + "\n")
      .join("");
  };

  app.toJson = function (view) {
    const { board, snapshot } = view.model;
    const filters = [...view.state].filter(([, value]) => value !== "");
    const content = {
      snapshot: {
        ...snapshot,
        text: app.snapshotText(view.model),
        benchmark: board.benchmark,
        suite: board.suite,
        generated_from: board.generated_from,
      },
      view: filters.map(([field, value]) => ({ field, value })),
      columns: view.columns.flatMap((column) => (column.metric ? [column.metric] : [])),
      rows: view.rows.map((row) => ({
        id: row.id,
        system: row.system,
        trust: row.trust,
        bundle_sha256: row.bundle_sha256,
        source: row.source,
        shown: view.columns.flatMap((column) => column.fields(row)).map(([name, value]) => ({ name, value })),
      })),
    };
    return JSON.stringify(content, null, 1) + "\n";
  };

  const TEX = new Map([
    ["\\", "\\textbackslash{}"],
    ["{", "\\{"],
    ["}", "\\}"],
    ["$", "\\$"],
    ["&", "\\&"],
    ["#", "\\#"],
    ["%", "\\%"],
    ["_", "\\_"],
    ["^", "\\textasciicircum{}"],
    ["~", "\\textasciitilde{}"],
    ["<", "\\textless{}"],
    [">", "\\textgreater{}"],
    ["\u2191", "$\\uparrow$"],
    ["\u2193", "$\\downarrow$"],
    ["\u2212", "$-$"],
    ["\u2013", "--"],
    ["|", "\\textbar{}"],
    ["\u00a0", "~"],
    ['"', "\\textquotedbl{}"],
  ]);
  app.tex = (text) =>
    app.clean(text).replace(/[\\{}$&#%_^~<>\u2191\u2193\u2212\u2013\u00a0|"]/g, (letter) => TEX.get(letter));

  /* Bold only where one system alone has no system significantly better; where several have, each is starred. */
  function texNumber(column, row, ranked) {
    const score = column.score(row);
    if (!score) return "--";
    const text = app.tex(app.number(score.value, column.digits));
    const first = ranked.filter(
      (other) => column.score(other) && column.score(other).place && column.score(other).place.tier === 1,
    );
    const marked = !(score.place && score.place.tier === 1)
      ? text
      : first.length === 1
        ? `\\textbf{${text}}`
        : `${text}\\rlap{$^\\ast$}`;
    return score.ci95
      ? `${marked} {\\scriptsize [${app.tex(score.ci95.map((end) => app.number(end, column.digits)).join(", "))}]}`
      : marked;
  }

  /* Explains the marks that occur, and no others. */
  function texMarks(view) {
    const scores = view.rows.flatMap((row) => view.columns.map((column) => column.score && column.score(row)));
    const known = scores.filter(Boolean);
    return [
      view.columns.some((column) => column.anchored) ? "Scores: 0 is another sample's reply, 100 the real one. " : "",
      known.some((score) => score.ci95) ? "Brackets: 95\\,\\% intervals. " : "No intervals are stated. ",
      view.rows.some((row) => row.place) ? "Rank: its 95\\,\\% interval. " : "",
      known.some((score) => score.place && score.place.tier === 1)
        ? "Bold: no system is significantly better, alone; $^\\ast$: shared with others. "
        : "",
    ].join("");
  }

  function texCounts(view) {
    const protocols = view.columns
      .filter((column) => column.metric)
      .map((column) => `${column.metric.title}: ${column.metric.protocol}`);
    const counts = view.rows.map((row) => row.n).filter((n) => n !== null);
    const n = counts.length
      ? `$n$ per number from ${Math.min(...counts)} to ${view.model.board.benchmark.n_samples}. `
      : "";
    return n + (protocols.length ? `Protocols: ${app.tex(protocols.join("; "))}. ` : "");
  }

  app.toLatex = function (view) {
    const ranked = view.model.rows.filter((row) => row.ranked);
    const lines = view.rows.map((row) =>
      view.columns.map((column) => (column.score ? texNumber(column, row, ranked) : app.tex(column.latex(row)))),
    );
    return [
      `% ${app.clean(app.snapshotText(view.model))}`,
      "% needs \\usepackage{booktabs} and, for the quotation mark, \\usepackage[T1]{fontenc}",
      "\\begin{table}",
      "\\centering",
      `\\caption{${texMarks(view)}${texCounts(view)}Snapshot: ${app.tex(app.snapshotText(view.model))}.}`,
      `\\begin{tabular}{${view.columns.map((column) => (column.kind === "number" ? "r" : "l")).join("")}}`,
      "\\toprule",
      view.columns.map((column) => app.tex(column.title)).join(" & ") + " \\\\",
      "\\midrule",
      ...lines.map((line) => line.join(" & ") + " \\\\"),
      "\\bottomrule",
      "\\end{tabular}",
      "\\end{table}",
      "",
    ].join("\n");
  };

  const bibKey = (text) =>
    app
      .clean(text)
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "") || "unnamed";
  const entry = (kind, key, fields) =>
    `@${kind}{${key},\n${fields
      .filter(([, value]) => value)
      .map(([name, value]) => `  ${name} = {${value}},\n`)
      .join("")}}\n`;

  app.toBibtex = function (view) {
    const { benchmark, suite } = view.model.board;
    const board = `${benchmark.name} ${benchmark.version}, suite ${suite.name} v${suite.version}`;
    const days = view.model.rows
      .map((row) => row.submitted)
      .filter(Boolean)
      .sort();
    const snapshot = entry("misc", `vidchatbench-${bibKey(benchmark.name)}-${short(view.model.snapshot.sha256)}`, [
      ["title", `{VidChatBench} leaderboard, ${app.tex(board)}`],
      ["year", days.length ? days[days.length - 1].slice(0, 4) : ""],
      ["note", `Snapshot: ${app.tex(app.snapshotText(view.model))}`],
    ]);
    const paper = entry("inproceedings", "speakervid5m", [
      [
        "title",
        "{SpeakerVid-5M}: A Large-Scale High-Quality Dataset for Audio-Visual Dyadic Interactive Human Generation",
      ],
      [
        "author",
        "Zhang, Youliang and Li, Zhaoyang and Wang, Duomin and Zhang, Jiahe and Zhou, Deyu and Yin, Zixin and " +
          "Dai, Xili and Yu, Gang and Li, Xiu",
      ],
      ["booktitle", "The Fourteenth International Conference on Learning Representations"],
      ["year", "2026"],
      ["eprint", "2507.09862"],
      ["archiveprefix", "arXiv"],
    ]);
    const systems = view.rows.map((row) =>
      entry("misc", bibKey(row.id), [
        ["title", `{${app.tex(app.systemName(row))}}`],
        ["author", row.system.authors.map(app.tex).join(" and ")],
        [
          "howpublished",
          row.linkMap.has("paper") ? `\\url{${row.linkMap.get("paper").replace(/[{}\\%]/g, encodeURIComponent)}}` : "",
        ],
        [
          "note",
          row.bundle_sha256
            ? `Bundle ${short(row.bundle_sha256)}`
            : row.source
              ? `As reported: ${app.tex(row.source)}`
              : "",
        ],
      ]),
    );
    return `% ${app.clean(app.snapshotText(view.model))}\n` + [snapshot, paper, ...systems].join("\n");
  };
})((window.vidchatbench = window.vidchatbench || {}));
