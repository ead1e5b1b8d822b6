/*
 * Light or dark: as the reader's system has it, until the reader chooses; the choice is remembered where the browser
 * lets a page remember. Loaded in the head, so that no page flashes.
 */
"use strict";
(function () {
  const KEY = "vidchatbench-theme";
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function remembered() {
    try {
      return window.localStorage.getItem(KEY);
    } catch (error) {
      return null; // storage is switched off: the system's theme holds
    }
  }

  function remember(theme) {
    try {
      window.localStorage.setItem(KEY, theme);
    } catch (error) {
      return; // the choice then lasts as long as the page
    }
  }

  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  const current = () => root.dataset.theme || (dark.matches ? "dark" : "light");

  document.addEventListener("DOMContentLoaded", function () {
    const button = document.getElementById("theme");
    const show = () => button.setAttribute("aria-pressed", String(current() === "dark"));
    button.hidden = false;
    button.addEventListener("click", function () {
      root.dataset.theme = current() === "dark" ? "light" : "dark";
      remember(root.dataset.theme);
      show();
    });
    dark.addEventListener("change", show);
    show();
  });
})();
