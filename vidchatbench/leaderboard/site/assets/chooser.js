/* Which columns are shown: a dialog with one box per column, by dimension; the protocol stands beside each metric. */
"use strict";
(function (app) {
  function box(column, shown, onToggle) {
    const id = "column-" + app.hash([["c", column.key]]);
    const input = app.el("input", {
      type: "checkbox",
      id,
      change: (event) => onToggle([column.key], event.target.checked),
    });
    input.checked = shown.has(column.key);
    const protocol = column.metric ? app.el("span", { class: "protocol" }, column.metric.protocol) : null;
    return app.el("div", { class: "choice" }, input, app.el("label", { for: id }, column.title, " ", protocol));
  }

  function group(title, columns, shown, onToggle) {
    const keys = columns.map((column) => column.key);
    const all = (wanted, text) =>
      app.el(
        "button",
        { type: "button", class: "plain", "aria-label": `${text} of ${title}`, click: () => onToggle(keys, wanted) },
        text,
      );
    const head = app.el("legend", null, title);
    const both = app.el("div", { class: "both" }, all(true, "all"), all(false, "none"));
    return app.el(
      "fieldset",
      null,
      head,
      both,
      columns.map((column) => box(column, shown, onToggle)),
    );
  }

  /* Draws the boxes; `onToggle(keys, wanted)` is called on each change, and draws them anew. */
  app.drawChooser = function (place, columns, shown, onToggle) {
    const focused = document.activeElement && place.contains(document.activeElement) ? document.activeElement : null;
    const at = focused ? [...place.querySelectorAll("input, button")].indexOf(focused) : -1;
    const free = columns.filter((column) => !column.always);
    const titles = [...new Set(free.map((column) => column.group))];
    place.replaceChildren(
      ...titles.map((title) =>
        group(
          title,
          free.filter((column) => column.group === title),
          shown,
          onToggle,
        ),
      ),
    );
    if (at >= 0) place.querySelectorAll("input, button")[at].focus();
  };

  /* Opens a dialog from a button; its own button, Escape and a click beside it close it. */
  app.wireDialog = function (dialog, button, onOpen) {
    button.addEventListener("click", function () {
      onOpen();
      dialog.showModal();
    });
    // Set, not added: a dialog may have several buttons.
    dialog.onclick = function (event) {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    };
  };
})((window.vidchatbench = window.vidchatbench || {}));
