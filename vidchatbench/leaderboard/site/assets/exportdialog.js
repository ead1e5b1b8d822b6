/* The dialog that shows an export before it is copied or saved. */
"use strict";
(function (app) {
  const FORMATS = [
    { key: "csv", title: "CSV", type: "text/csv", make: app.toCsv, end: "csv" },
    { key: "json", title: "JSON", type: "application/json", make: app.toJson, end: "json" },
    { key: "latex", title: "LaTeX", type: "text/plain", make: app.toLatex, end: "tex" },
    { key: "bibtex", title: "BibTeX", type: "text/plain", make: app.toBibtex, end: "bib" },
  ];

  function save(text, format, model) {
    const address = URL.createObjectURL(new Blob([text], { type: format.type + ";charset=utf-8" }));
    const name = `vidchatbench-${model.board.benchmark.version}-${model.snapshot.sha256.slice(0, 12)}.${format.end}`;
    const link = app.el("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    window.setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  async function copy(area, status) {
    area.select();
    // Without a clipboard (a page opened over plain http) the text stays selected, and the reader's own keys copy it.
    if (!navigator.clipboard) return void (status.textContent = "Selected: copy it with Ctrl+C.");
    try {
      await navigator.clipboard.writeText(area.value);
      status.textContent = "Copied.";
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      status.textContent = "Selected: copy it with Ctrl+C.";
    }
  }

  /* sources: [button, view()] pairs; `view()` gives what is shown when its button is pressed. */
  app.wireExport = function (dialog, sources) {
    const [area, status, choices] = ["export-text", "export-status", "export-formats"].map(app.byId);
    let format = FORMATS[0];
    let view = null;
    const show = function (chosen) {
      format = chosen;
      status.textContent = "";
      area.value = format.make(view());
      area.scrollTop = 0;
    };
    choices.append(
      ...FORMATS.map(function (one) {
        const id = "export-" + one.key;
        const input = app.el("input", {
          type: "radio",
          name: "format",
          id,
          checked: one === format,
          change: () => show(one),
        });
        return app.el("span", { class: "choice" }, input, app.el("label", { for: id }, one.title));
      }),
    );
    app.byId("export-copy").addEventListener("click", () => copy(area, status));
    app.byId("export-save").addEventListener("click", () => save(area.value, format, view().model));
    for (const [button, source] of sources) {
      app.wireDialog(dialog, button, function () {
        view = source;
        show(format);
      });
    }
  };
})((window.vidchatbench = window.vidchatbench || {}));
