/*
 * The board as the pages use it. Everything that is looked up by a name from outside is a Map: "__proto__" is a name
 * like any other. Nothing is ranked or averaged here; ranks, tiers and intervals come from `leaderboard build`.
 */
"use strict";
(function (app) {
  const DIMENSIONS = new Map();
  const WORDS = new Map([
    ["reported", "reported"],
    ["self_scored", "self-scored"],
    ["recomputed", "recomputed"],
    ["open_weights", "open weights"],
    ["open_code", "open code"],
    ["closed", "closed"],
    ["unknown", "not stated"],
    ["output_missing", "output missing"],
    ["output_invalid", "output invalid"],
    ["not_applicable", "not applicable"],
    ["judge_failed", "judge failed"],
  ]);
  app.TRUST = new Map([
    ["recomputed", "The maintainers computed the scores from the submitted media."],
    ["self_scored", "The submitter computed the scores; the sums were verified, the media were not seen."],
    ["reported", "A paper states the numbers. Nobody computed them here; they are never ranked."],
  ]);
  app.ANCHORED_DIGITS = 1;

  /* Called by vocabulary.js: labels of dimensions and tasks as pairs of key and label, in their order. */
  app.setVocabulary = (labels) => {
    labels.dimensions.forEach(([key, label]) => DIMENSIONS.set(key, label));
    labels.tasks.forEach(([key, label]) => WORDS.set(key, label));
  };

  /* Called by board.js, which is loaded after this file. */
  app.setBoard = (board) => (app.board = board);
  app.setSnapshot = (snapshot) => (app.snapshot = snapshot);
  app.setSampleFiles = (entries) => (app.sampleFiles = new Map(entries));

  app.word = (key) => WORDS.get(key) || key;
  app.dimension = (key) => DIMENSIONS.get(key) || app.word(key);

  function withCells(row) {
    const cells = new Map(Object.entries(row.values));
    const known = [...cells.values()].filter((cell) => cell.n_ok !== null);
    const shares = known.map((cell) => cell.coverage).filter((share) => share !== null);
    return {
      ...row,
      cells,
      scores: new Map(Object.entries(row.dimensions)),
      linkMap: new Map(Object.entries(row.links)),
      place: row.overall ? row.overall.place : null,
      n: known.length ? Math.min(...known.map((cell) => cell.n_ok)) : null,
      coverage: shares.length ? Math.min(...shares) : null,
    };
  }

  function withDigits(column, rows) {
    const numbers = rows.flatMap((row) => {
      const cell = row.cells.get(column.id);
      return cell ? [cell.value, ...(cell.ci95 || [])] : [];
    });
    const known = numbers.filter((value) => value !== null);
    return { ...column, digits: column.reported ? app.printedDigits(known) : app.digits(known) };
  }

  /* Returns the board with rows and metrics by id, and what the drawings need. */
  app.model = function () {
    const board = app.board;
    const rows = board.rows.map(withCells);
    const metrics = board.metrics.map((column) => withDigits(column, rows));
    const scores = rows.flatMap((row) => [row.overall, ...row.scores.values()]).filter(Boolean);
    const ends = scores.flatMap((score) => [score.anchored, ...(score.ci95 || [])]);
    const used = new Set(rows.flatMap((row) => [...row.scores.keys()]));
    return {
      board,
      rows,
      metrics,
      snapshot: app.snapshot,
      rowById: new Map(rows.map((row) => [row.id, row])),
      metricById: new Map(metrics.map((column) => [column.id, column])),
      dimensions: [...DIMENSIONS.keys()].filter((key) => used.has(key)),
      ranked: rows.filter((row) => row.ranked).length,
      anchored: rows.every((row) => row.trust === "reported") || scores.length > 0,
      // The anchored scale is 0 to 100, and drawn wider only where an interval leaves it.
      scale: [Math.max(-25, Math.min(0, ...ends)), Math.min(125, Math.max(100, ...ends))],
    };
  };

  app.systemName = (row) => (row.system.revision ? `${row.system.name} (${row.system.revision})` : row.system.name);
})((window.vidchatbench = window.vidchatbench || {}));
