/* The board's page: ties the filters, the two tables, the dialogs and the address together. */
"use strict";
(function (app) {
  const FIELDS = ["q", ...app.FILTERS.map((filter) => filter.field), "sort", "rsort", "cols", "pick", "details"];
  const model = app.model();
  const reported = model.rows.filter((row) => row.trust === "reported");
  const computed = model.rows.filter((row) => row.trust !== "reported");
  let state = app.readState(FIELDS);
  let shown = { main: [], reported: [], columns: [] };

  const picked = () =>
    app
      .listIn(state.get("pick"))
      .filter((id) => model.rowById.has(id))
      .slice(0, 2);
  const opened = () => new Set(app.listIn(state.get("details")));

  function toggleIn(field, id, most) {
    const list = app.listIn(state.get(field));
    const kept = list.includes(id) ? list.filter((one) => one !== id) : [...list, id].slice(-most);
    set(field, kept.join(","));
  }

  const options = {
    isOpen: (row) => opened().has(row.id),
    toggle: (row) => toggleIn("details", row.id, 20),
    pick: (row) =>
      app.el("input", {
        type: "checkbox",
        class: "pick",
        checked: picked().includes(row.id),
        "aria-label": `Compare ${app.systemName(row)}`,
        change: () => toggleIn("pick", row.id, 2),
      }),
  };
  const allColumns = app.mainColumns(model, options);
  // Without an overall rank the first metric orders the table, the best on top.
  const first = model.anchored ? null : allColumns.find((column) => column.metric);
  const AT_FIRST = first ? first.key : "rank";
  const firstSort = first ? (first.lower ? "" : "-") + first.key : "";
  const reportedColumns = app.reportedColumns(model, options);

  function details(row) {
    const more = [app.page("system", { id: row.id }, "Page of the system")];
    if (row.trust !== "reported") more.push(app.page("compare", { a: row.id }, "Compare with another"));
    const source = row.source ? app.el("p", null, "Source: ", app.source(row)) : null;
    return [app.el("p", { class: "links" }, more), app.whyUnranked(row), source, app.numbersTable(model, row)];
  }

  const table = (id, caption, columns, field) =>
    new app.SortableTable({
      box: app.byId(id),
      caption,
      label: caption,
      details,
      rowKey: (row) => row.id,
      onSort: (key) =>
        set(
          field,
          app.nextSort(
            sortOf(field),
            columns().find((column) => column.key === key),
          ),
        ),
    });
  const main = table("main-table", "Systems on the board", () => allColumns, "sort");
  const paper = table("reported-table", "Results reported in papers", () => reportedColumns, "rsort");
  const sortOf = (field) =>
    field === "sort"
      ? app.readSort(state.get("sort") || firstSort, allColumns, AT_FIRST)
      : app.readSort(state.get("rsort"), reportedColumns, "");

  function visibleColumns() {
    const wanted = new Set(app.listIn(state.get("cols")));
    const fitting = allColumns.filter((column) => column.narrow !== 0 || !app.isNarrow());
    return fitting.filter(
      (column) => column.always || (state.get("cols") ? wanted.has(column.key) : app.isShownAtFirst(column)),
    );
  }

  function chooseColumns(keys, wanted) {
    const now = new Set(
      visibleColumns()
        .filter((column) => !column.always)
        .map((column) => column.key),
    );
    keys.forEach((key) => (wanted ? now.add(key) : now.delete(key)));
    const free = allColumns.filter((column) => !column.always);
    const same = free.every((column) => now.has(column.key) === app.isShownAtFirst(column));
    // "none" keeps an empty choice apart from no choice.
    set(
      "cols",
      same
        ? ""
        : free
            .filter((column) => now.has(column.key))
            .map((column) => column.key)
            .join(",") || "none",
    );
    drawChooser();
  }

  const drawChooser = () =>
    app.drawChooser(
      app.byId("chooser"),
      allColumns,
      new Set(visibleColumns().map((column) => column.key)),
      chooseColumns,
    );

  function showMain(matches) {
    const columns = visibleColumns();
    if (
      columns.map((column) => column.key).join() !== (main.columns || []).map((column) => column.key).join() ||
      !main.columns
    )
      main.setColumns(columns);
    const { column, descending } = sortOf("sort");
    const rows = app.sorted(computed.filter(matches), column, descending);
    const [ranked, others] = [rows.filter((row) => row.ranked), rows.filter((row) => !row.ranked)];
    const groups = [{ rows: ranked }];
    if (others.length) groups.push({ title: "Not ranked \u2013 each row\u2019s details say why", rows: others });
    main.show(groups, column.key, descending);
    shown = { ...shown, columns: columns.filter((one) => one.fields), main: [...ranked, ...others] };
    return rows.length;
  }

  function showReported(matches) {
    if (!paper.columns) paper.setColumns(reportedColumns);
    const { column, descending } = sortOf("rsort");
    const rows = reported.filter(matches);
    shown.reported = column ? app.sorted(rows, column, descending) : rows;
    paper.show([{ rows: shown.reported }], column ? column.key : "", descending);
    app.byId("reported").hidden = rows.length === 0;
    return rows.length;
  }

  function showCounts(count, countReported) {
    const filtered = app.isFiltered(state);
    app.byId("reset").hidden = !filtered;
    app.byId("no-match").hidden = !filtered || count + countReported > 0;
    app.byId("main-table").hidden = count === 0;
    const of = filtered
      ? `${count} of ${app.plural(computed.length, "system")}`
      : app.plural(computed.length, "system");
    const ranks = filtered && model.ranked ? ` Ranks are among all ${model.ranked} that are ranked.` : "";
    app.byId("count").textContent = computed.length ? `${of}.${ranks}` : "";
  }

  function showMarks() {
    const ids = picked();
    const open = opened();
    for (const { row, line } of [...main.made.values(), ...paper.made.values()]) {
      line.querySelector(".more").setAttribute("aria-expanded", String(open.has(row.id)));
      const box = line.querySelector("input.pick");
      if (box) box.checked = ids.includes(row.id);
    }
    app.byId("picked").hidden = ids.length === 0;
    if (ids.length === 0) return;
    const names = ids.flatMap((id, place) => [
      place ? " and " : null,
      app.el("b", null, app.name(app.systemName(model.rowById.get(id)))),
    ]);
    const link =
      ids.length === 2
        ? app.page("compare", { a: ids[0], b: ids[1] }, "Compare them", { class: "button" })
        : app.el("span", { class: "sub" }, "Choose one more.");
    const clear = app.el("button", { type: "button", class: "plain", click: () => set("pick", "") }, "Clear");
    app.byId("picked").replaceChildren(app.el("p", null, names), link, clear);
  }

  function show() {
    const matches = app.matcher(state);
    main.open = paper.open = opened();
    showFilters(state);
    showCounts(showMain(matches), showReported(matches));
    showMarks();
  }

  function set(field, value) {
    state.set(field, value);
    app.writeState(state);
    show();
  }

  function reset() {
    for (const field of ["q", ...app.FILTERS.map((filter) => filter.field)]) state.set(field, "");
    app.writeState(state);
    show();
    app.byId("filter-q").focus();
  }

  const mainView = () => ({ model, state, columns: shown.columns, rows: shown.main });
  const reportedView = () => ({ model, state, columns: reportedColumns, rows: shown.reported });

  const showFilters = app.makeFilters(app.byId("filters"), model.rows, set);
  app.byId("filters").addEventListener("submit", (event) => event.preventDefault());
  app.byId("reset").addEventListener("click", reset);
  app.byId("columns-reset").addEventListener("click", function () {
    set("cols", "");
    drawChooser();
  });
  app.wireDialog(app.byId("columns-dialog"), app.byId("columns-button"), drawChooser);
  app.wireExport(app.byId("export-dialog"), [
    [app.byId("export-button"), mainView],
    [app.byId("export-reported"), reportedView],
  ]);
  app.byId("empty").hidden = computed.length > 0;
  for (const id of ["filters", "main-bar"]) app.byId(id).hidden = computed.length === 0;
  const sources = new Map(reported.filter((row) => row.source).map((row) => [row.source, app.source(row)]));
  app
    .byId("sources")
    .replaceChildren("Source: ", ...[...sources.values()].flatMap((link, k) => (k ? ["; ", link] : [link])));
  app.byId("sources").hidden = sources.size === 0;
  app.onNarrow(function () {
    main.columns = paper.columns = null;
    show();
  });
  app.byId("reading").hidden = computed.length === 0;
  app.onState(function () {
    state = app.readState(FIELDS);
    show();
  });
  show();
  document.documentElement.dataset.ready = "true";
})(window.vidchatbench);
