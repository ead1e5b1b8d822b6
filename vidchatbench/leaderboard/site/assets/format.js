/* Numbers as people read them: the same number of decimals down a column, a real minus sign, intervals with a dash. */
"use strict";
(function (app) {
  const MINUS = "\u2212";
  const DASH = "\u2013";
  app.NONE = DASH;
  app.NOT_APPLICABLE = "n/a";

  /* Decimals that give the largest number of a column about four significant digits. */
  app.digits = function (numbers) {
    const largest = Math.max(0, ...numbers.filter(Number.isFinite).map(Math.abs));
    if (largest >= 1000) return 0;
    if (largest >= 100) return 1;
    if (largest >= 10) return 2;
    if (largest >= 0.1 || largest === 0) return 3;
    return Math.min(8, 3 - Math.floor(Math.log10(largest)));
  };

  /* As many decimals as were printed: a paper's 0.62 is not 0.620. */
  app.printedDigits = (numbers) => Math.max(0, ...numbers.map((value) => (String(value).split(".")[1] || "").length));

  app.number = function (value, digits) {
    if (value === null || value === undefined) return app.NONE;
    const text = Math.abs(value).toFixed(digits);
    return value < 0 && Number(text) !== 0 ? MINUS + text : text;
  };

  app.signed = (value, digits) =>
    (value > 0 && Number(value.toFixed(digits)) !== 0 ? "+" : "") + app.number(value, digits);

  /* Ends that read alike are no certainty. Of a set's distance the interval holds at this number of samples alone. */
  app.interval = function (ci, digits, aggregation) {
    if (!ci) return "";
    const [low, high] = ci.map((end) => app.number(end, digits));
    if (low === high) return "all alike";
    const text = low.startsWith(MINUS) || high.startsWith(MINUS) ? `${low} to ${high}` : low + DASH + high;
    return aggregation === "set" ? text + " at this N" : text;
  };

  app.range = (low, high) => (low === high ? String(low) : `${low}${DASH}${high}`);
  app.percent = (share) =>
    share === null ? app.NONE : share === 1 ? "100 %" : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
  app.arrow = (direction) => (direction === "higher" ? "\u2191" : "\u2193");
  app.better = (direction) => `${direction} is better`;
  app.day = (moment) => (moment ? moment.slice(0, 10) : app.NONE);
  app.plural = (count, one, many) => `${count} ${count === 1 ? one : many || one + "s"}`;
})((window.vidchatbench = window.vidchatbench || {}));
