// Dark, light, or as the system says: kept in the browser.
import { setAttr, setText } from "/static/dom.js";

const NEXT = { system: "dark", dark: "light", light: "system" };
const SIGNS = { system: "◐", dark: "●", light: "○" };

export function bindTheme(button) {
  const kept = document.documentElement.dataset.theme ?? "system";
  apply(button, kept);
  button.addEventListener("click", () => apply(button, NEXT[button.dataset.theme]));
}

function apply(button, theme) {
  button.dataset.theme = theme;
  setText(button, SIGNS[theme]);
  const words = `Theme: ${theme === "system" ? "as the system" : theme}`;
  setAttr(button, "aria-label", words);
  setAttr(button, "title", words);
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("trainq.theme");
    else localStorage.setItem("trainq.theme", theme);
  } catch {
    // forbidden storage: the choice lasts as long as the page
  }
}
