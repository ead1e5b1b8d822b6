/*
 * A plain <table> that sorts: the header of a column is a button, `aria-sort` says the order. Rows are made once and
 * only moved afterwards, a window full of them first, so that sorting hundreds stays quick. Rows without a value stand
 * last in either order.
 *
 * A column: {key, title, note, kind: "number" | "text", lower, width and narrow (rem; the second on a phone, where 0
 * leaves it out), className, rowHeader, value(row), cell(row) or number(row)}; without `value` it does not sort.
 */
"use strict";
(function (app) {
  const compareText = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

  /* The order a first click gives: best first for numbers, A to Z for text. */
  app.startsDescending = (column) => column.kind === "number" && !column.lower;

  app.sorted = function (rows, column, descending) {
    const keyed = rows.map((row, place) => ({ row, place, value: column.value(row) }));
    const lacks = (entry) => entry.value === null || entry.value === undefined || entry.value === "";
    const order = (a, b) => (column.kind === "number" ? a - b : compareText(a, b));
    keyed.sort(function (a, b) {
      if (lacks(a) || lacks(b)) return lacks(a) - lacks(b) || a.place - b.place;
      return (descending ? order(b.value, a.value) : order(a.value, b.value)) || a.place - b.place;
    });
    return keyed.map((entry) => entry.row);
  };

  const CELLS_AT_ONCE = 300;
  const LEAST_ROWS = 14;
  const ROW_HEIGHT = 3.07; // rem, of a row of two lines

  const narrow = window.matchMedia("(max-width: 48rem)");
  app.isNarrow = () => narrow.matches;
  app.onNarrow = (listener) => narrow.addEventListener("change", listener);
  const widthOf = (column) => (narrow.matches && column.narrow !== undefined ? column.narrow : column.width);

  class SortableTable {
    /* options: {box, caption, label, rowKey(row), onSort(key), rowClass(row), details(row), dense} */
    constructor(options) {
      this.options = options;
      this.made = new Map();
      this.open = null;
      this.table = app.el("table", { class: "board" });
      options.box.replaceChildren(this.table);
      options.box.tabIndex = 0;
      options.box.setAttribute("role", "region");
      options.box.setAttribute("aria-label", options.label);
      // A table that fits scrolls with the page, and its header sticks to the window; another scrolls in its box.
      new ResizeObserver(() => this.fit()).observe(options.box);
    }

    fit() {
      const box = this.options.box;
      box.classList.toggle("fits", this.width * this.rem() <= box.clientWidth);
    }

    rem() {
      return parseFloat(getComputedStyle(document.documentElement).fontSize);
    }

    setColumns(columns) {
      this.columns = columns;
      this.width = columns.reduce((sum, column) => sum + widthOf(column), 0);
      this.made.clear();
      this.order = null;
      const group = app.el("colgroup");
      for (const column of columns) {
        const col = app.el("col");
        col.style.width = widthOf(column) + "rem";
        group.append(col);
      }
      this.table.style.minWidth = this.width + "rem";
      this.headers = new Map(columns.map((column) => [column.key, this.header(column)]));
      const head = app.el("thead", null, app.el("tr", null, [...this.headers.values()]));
      this.table.replaceChildren(app.el("caption", { class: "unseen" }, this.options.caption), group, head);
      this.fit();
    }

    header(column) {
      const note = column.note ? app.el("span", { class: "note" }, column.note) : null;
      const name = `${column.kind} ${column.className || ""}`;
      if (!column.value) return app.el("th", { scope: "col", class: name }, column.head || column.title, note);
      const button = app.el(
        "button",
        { type: "button", class: "sort", click: () => this.options.onSort(column.key) },
        app.el("span", { class: "title" }, column.title),
        app.el("span", { class: "order", "aria-hidden": "true" }),
      );
      return app.el("th", { scope: "col", class: name, "aria-sort": "none" }, button, note);
    }

    /* groups: [{title, rows}] in the order to show; each becomes a <tbody>. */
    show(groups, key, descending) {
      for (const [name, header] of this.headers) {
        if (!header.hasAttribute("aria-sort")) continue;
        header.setAttribute("aria-sort", name !== key ? "none" : descending ? "descending" : "ascending");
      }
      const order = groups.map((group) => group.rows.map(this.options.rowKey).join("\n")).join("\n\n");
      if (order === this.order) return this.showDetails();
      this.order = order;
      this.fill(groups);
    }

    /* What fits a window comes at once, the rest in the next moments; a spacer keeps the page's height meanwhile. */
    fill(groups) {
      window.clearTimeout(this.timer);
      for (const old of [...this.table.tBodies]) old.remove();
      const queue = groups.flatMap((group) => group.rows.map((row, place) => ({ group, row, first: place === 0 })));
      const step = Math.max(LEAST_ROWS, Math.floor(CELLS_AT_ONCE / this.columns.length));
      const space = app.el("td", { colspan: this.columns.length });
      const spacer = app.el("tbody", { class: "spacer", "aria-hidden": "true" }, app.el("tr", null, space));
      let done = 0;
      let body = null;
      const add = () => {
        spacer.remove();
        for (const { group, row, first } of queue.slice(done, done + step)) {
          if (first) this.table.append((body = this.body(group)));
          body.append(this.row(row));
          if (this.isOpen(row)) body.append(this.detailsRow(row));
        }
        done += step;
        const left = Math.max(0, queue.length - done);
        this.table.setAttribute("aria-busy", String(left > 0));
        if (left === 0) return;
        space.style.height = left * ROW_HEIGHT + "rem";
        this.table.append(spacer);
        this.timer = window.setTimeout(add, 0);
      };
      add();
    }

    body(group) {
      const body = document.createElement("tbody");
      if (group.title) {
        const head = app.el(
          "th",
          { colspan: this.columns.length, scope: "rowgroup" },
          app.el("span", null, group.title),
        );
        body.append(app.el("tr", { class: "group" }, head));
      }
      return body;
    }

    isOpen(row) {
      return Boolean(this.open && this.open.has(this.options.rowKey(row)));
    }

    /* Opens and closes details where the rows stay as they are. */
    showDetails() {
      for (const { row, line } of this.made.values()) {
        const next = line.nextElementSibling;
        const shown = next && next.classList.contains("details-row") ? next : null;
        if (shown && !this.isOpen(row)) shown.remove();
        if (!shown && this.isOpen(row) && line.isConnected) line.after(this.detailsRow(row));
      }
    }

    row(row) {
      const key = this.options.rowKey(row);
      if (!this.made.has(key)) {
        const line = app.el("tr", { class: this.options.rowClass ? this.options.rowClass(row) : null });
        line.append(...this.columns.map((column) => this.cell(column, row)));
        this.made.set(key, { row, line });
      }
      return this.made.get(key).line;
    }

    cell(column, row) {
      const name = column.className ? `${column.kind} ${column.className}` : column.kind;
      if (column.rowHeader) return app.el("th", { scope: "row", class: name }, column.cell(row));
      if (!column.number) return app.el("td", { class: name }, column.cell(row));
      const number = column.number(row);
      return number ? app.numberLines("td", name, number) : app.el("td", { class: name + " none" }, app.NONE);
    }

    detailsRow(row) {
      const inner = app.el("div", { class: "details" }, this.options.details(row));
      return app.el("tr", { class: "details-row" }, app.el("td", { colspan: this.columns.length }, inner));
    }
  }
  app.SortableTable = SortableTable;
})((window.vidchatbench = window.vidchatbench || {}));
