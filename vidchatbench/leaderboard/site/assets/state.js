/*
 * What is shown, as the part of the address after "#": a link shows the same view to whoever opens it, and no server
 * sees it. Empty fields stay out of the address.
 */
"use strict";
(function (app) {
  app.readState = function (fields) {
    const given = new URLSearchParams(window.location.hash.slice(1));
    return new Map(fields.map((field) => [field, given.get(field) || ""]));
  };

  app.writeState = function (state) {
    const hash = app.hash([...state]);
    const bare = window.location.pathname + window.location.search;
    window.history.replaceState(null, "", hash ? "#" + hash : bare);
  };

  app.onState = (listener) => window.addEventListener("hashchange", listener);

  /* A list in one field; a comma stands in no id. */
  app.listIn = (text) => text.split(",").filter(Boolean);

  /* "-key" sorts descending. */
  app.readSort = function (text, columns, fallback) {
    const descending = text.startsWith("-");
    const key = descending ? text.slice(1) : text;
    const column = columns.find((one) => one.key === key && one.value);
    return column ? { column, descending } : { column: columns.find((one) => one.key === fallback), descending: false };
  };

  /* The next order after a click on a header. */
  app.nextSort = function (now, column) {
    const descending = now.column.key === column.key ? !now.descending : app.startsDescending(column);
    return (descending ? "-" : "") + column.key;
  };
})((window.vidchatbench = window.vidchatbench || {}));
