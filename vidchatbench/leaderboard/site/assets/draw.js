/* The few marks that are drawn: an interval of ranks, an interval on the anchored scale, the badge of trust. */
"use strict";
(function (app) {
  const RANK_WIDTH = 60;
  const LINE = 14;

  function frame(width, height, name, ...shapes) {
    const box = {
      class: name,
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      "aria-hidden": "true",
      focusable: "false",
    };
    return app.svg("svg", box, shapes);
  }

  const bar = (name, x, y, width, height) => app.svg("rect", { class: name, x, y, width, height });
  const dot = (name, cx, cy, r) => app.svg("circle", { class: name, cx, cy, r });

  /* From the best to the worst rank of the interval, of all ranks there are. */
  app.rankBar = function (place, count) {
    const step = RANK_WIDTH / Math.max(1, count);
    const left = (place.rank_low - 1) * step;
    const width = Math.max(3, (place.rank_high - place.rank_low + 1) * step);
    const x = Math.min(left, RANK_WIDTH - width);
    return frame(RANK_WIDTH, 8, "rank-bar", bar("track", 0, 3.5, RANK_WIDTH, 1), bar("span", x, 1.5, width, 5));
  };

  /* A dot with its interval on the anchored scale; 0 and 100 are marked by ticks. */
  app.forest = function (score, scale, width) {
    const at = (value) =>
      4 + ((Math.min(scale[1], Math.max(scale[0], value)) - scale[0]) / (scale[1] - scale[0])) * (width - 8);
    const [zero, hundred] = [at(0), at(100)];
    const axis = `M${at(scale[0])} ${LINE / 2}H${at(scale[1])}M${zero} 3V${LINE - 3}M${hundred} 3V${LINE - 3}`;
    const shapes = [app.svg("path", { class: "axis", d: axis })];
    if (score.ci95) {
      const [low, high] = score.ci95.map(at);
      shapes.push(bar("span", low, LINE / 2 - 2, Math.max(1.5, high - low), 4));
    }
    shapes.push(dot("dot", at(score.anchored), LINE / 2, 3));
    return frame(width, LINE, "forest", shapes);
  };

  /* Full, half and empty: the badge is read without colour. */
  app.trustBadge = function (trust) {
    const mark = frame(10, 10, "trust-mark", dot("ring", 5, 5, 4));
    if (trust === "recomputed") mark.append(dot("full", 5, 5, 4));
    if (trust === "self_scored") mark.append(app.svg("path", { class: "full", d: "M5 1a4 4 0 0 1 0 8z" }));
    return app.el("span", { class: "trust trust-" + trust }, mark, app.word(trust));
  };
})((window.vidchatbench = window.vidchatbench || {}));
