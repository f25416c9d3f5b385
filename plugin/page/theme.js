// Runs before the first paint: a page that changes its colours while it loads is unpleasant.
"use strict";
{
  const KEY = "kubectl-canary-theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const read = () => {
    try {
      const kept = localStorage.getItem(KEY);
      return kept in NEXT ? kept : "system";
    } catch {
      return "system";
    }
  };
  const keep = (theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing shows the system's theme again next time.
    }
  };
  let theme = read();
  const apply = () => {
    if (theme === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", theme);
    document.dispatchEvent(new Event("theme"));
  };
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("theme")));
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => { button.textContent = `Theme: ${theme}`; };
    say();
    button.addEventListener("click", () => {
      theme = NEXT[theme];
      keep(theme);
      apply();
      say();
    });
  });
}
