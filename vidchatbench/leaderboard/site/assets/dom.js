/*
 * The one place where elements are made. Whatever a submission says of itself enters the page as a text node or as the
 * value of a plain attribute, never as markup, and never as an address unless it is http or https.
 */
"use strict";
(function (app) {
  const SVG = "http://www.w3.org/2000/svg";
  // Line breaks are spaces; other control characters, and those that turn or hide text, are shown as a mark.
  const BREAKS = /[\t\n\r\u2028\u2029]+/g;
  const UNSEEN =
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
  const REFUSED = /^(on|style$|srcdoc$|src$)/i;

  app.clean = (text) => String(text).replace(BREAKS, " ").replace(UNSEEN, "\ufffd");

  function fill(node, props, children) {
    for (const [name, value] of Object.entries(props || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") node.addEventListener(name, value);
      else if (REFUSED.test(name)) throw new Error("refused attribute: " + name);
      else node.setAttribute(name, value === true ? "" : app.clean(value));
    }
    for (const child of children.flat(2)) {
      if (child === null || child === undefined || child === false || child === "") continue;
      node.append(child instanceof Node ? child : app.clean(child));
    }
    return node;
  }

  /* el("td", {class: "num", click: f}, "text", node, ...) */
  app.el = (tag, props, ...children) => fill(document.createElement(tag), props, children);
  app.svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

  /* Lines of text in one element: a board has thousands of cells, and each element more would slow its load. */
  app.lines = function (tag, name, lines) {
    const node = document.createElement(tag);
    node.className = name + " lines";
    node.textContent = lines.map(app.clean).join("\n");
    return node;
  };
  app.byId = (id) => document.getElementById(id);

  /* A name that may be of any script: isolated, so that it cannot turn what stands around it. */
  app.name = (text) => app.el("bdi", null, text);

  /* A long id that may break after its separators. */
  app.breakable = (text) =>
    app
      .clean(text)
      .split(/(?<=[/_.+-])/)
      .flatMap((part) => [part, document.createElement("wbr")]);

  /* A link where a browser may be sent there, else plain text. */
  app.link = function (address, text) {
    let found = null;
    try {
      found = new URL(address);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    const shown = text === undefined ? address : text;
    if (found === null || (found.protocol !== "https:" && found.protocol !== "http:")) return app.name(shown);
    return app.el("a", { href: found.href, rel: "noopener noreferrer nofollow" }, app.name(shown));
  };

  /* A page of this site; `values` go into the part of the address that stays in the browser. */
  app.page = function (page, values, text, props) {
    const hash = app.hash(Object.entries(values));
    return app.el("a", { ...props, href: page + ".html" + (hash ? "#" + hash : "") }, text);
  };

  /* The state as text after "#"; what is harmless there stays readable. */
  app.hash = function (entries) {
    const text = new URLSearchParams(entries.filter(([, value]) => value !== "")).toString();
    return text.replace(/%2F/g, "/").replace(/%2C/g, ",").replace(/%40/g, "@").replace(/%3A/g, ":");
  };
})((window.vidchatbench = window.vidchatbench || {}));
