/* The filters above the table: by name, task, openness, licence and trust; their options are what the board has. */
"use strict";
(function (app) {
  const NO_LICENCE = "not stated";
  const fold = (text) => app.clean(text).normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  app.FILTERS = [
    { field: "task", title: "Task", values: (row) => row.tasks.map(app.word) },
    { field: "open", title: "Openness", values: (row) => [app.word(row.openness)] },
    { field: "licence", title: "Licence", values: (row) => [app.clean(row.licence || NO_LICENCE)] },
    { field: "trust", title: "Trust", values: (row) => [app.word(row.trust)] },
  ];

  const searched = (row) =>
    fold(
      [row.system.name, row.system.revision, row.system.organisation, row.id, ...row.system.authors]
        .filter(Boolean)
        .join(" "),
    );

  /* Returns whether a row is shown in a state. */
  app.matcher = function (state) {
    const words = fold(state.get("q")).split(/\s+/).filter(Boolean);
    const wanted = app.FILTERS.filter((filter) => state.get(filter.field));
    return function (row) {
      const text = words.length ? searched(row) : "";
      return (
        words.every((word) => text.includes(word)) &&
        wanted.every((filter) => filter.values(row).includes(state.get(filter.field)))
      );
    };
  };

  app.isFiltered = (state) => ["q", ...app.FILTERS.map((filter) => filter.field)].some((field) => state.get(field));

  function select(filter, rows, onChange) {
    const options = [...new Set(rows.flatMap(filter.values))].sort((a, b) => a.localeCompare(b, "en"));
    const id = "filter-" + filter.field;
    const list = app.el(
      "select",
      { id, change: (event) => onChange(filter.field, event.target.value) },
      app.el("option", { value: "" }, "any"),
      options.map((text) => app.el("option", { value: text }, text)),
    );
    return app.el("div", { class: "field" }, app.el("label", { for: id }, filter.title), list);
  }

  /* Fills the form; returns a function that makes it show a state. */
  app.makeFilters = function (box, rows, onChange) {
    const search = app.el("input", {
      type: "search",
      id: "filter-q",
      placeholder: "name, group, author",
      autocomplete: "off",
      spellcheck: "false",
      input: (event) => onChange("q", event.target.value),
    });
    const fields = app.FILTERS.map((filter) => select(filter, rows, onChange));
    const name = app.el("div", { class: "field grow" }, app.el("label", { for: "filter-q" }, "Search"), search);
    box.prepend(name, ...fields);
    return function (state) {
      if (search.value !== state.get("q")) search.value = state.get("q");
      for (const filter of app.FILTERS) {
        const list = app.byId("filter-" + filter.field);
        const value = state.get(filter.field);
        const known = [...list.options].some((option) => option.value === value);
        if (!known) list.append(app.el("option", { value }, value));
        list.value = value;
      }
    };
  };
})((window.vidchatbench = window.vidchatbench || {}));
