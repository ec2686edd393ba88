// Light and dark: as the system has it, until the switch says otherwise.

const THEMES = ["auto", "light", "dark"];

/** The colours of the style sheet, as a canvas takes them. */
let palette = {};
/** What draws again when colours change. */
const themed = new Set();

function readPalette() {
  const probe = el("span", { hidden: true });
  document.body.append(probe);
  const names = ["text", "muted", "line", "surface", "raised", "accent", "red", "amber", "violet", "green", "read", "write", "flush", "discard", "zero", "call", "call-text", "call-failed", "cut", "console"];
  palette = {};
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    palette[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  const button = byId("theme");
  const word = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
  button.replaceChildren(el("span", { class: "swatch", "aria-hidden": "true" }), word);
  button.setAttribute("aria-label", `Colours: ${word}. Changes to the next of auto, light and dark`);
  button.setAttribute("aria-keyshortcuts", "t");
  button.dataset.now = theme;
  try {
    localStorage.setItem("provium-theme", theme);
  } catch {
    // A page from a file may have no storage: it forgets the choice.
  }
  readPalette();
  for (const draw of themed) draw();
}

function nextTheme() {
  const now = byId("theme").dataset.now;
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

function startTheme() {
  let theme = null;
  try {
    theme = localStorage.getItem("provium-theme");
  } catch {
    // As above.
  }
  setTheme(THEMES.includes(theme) ? theme : "auto");
  byId("theme").addEventListener("click", nextTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readPalette();
    for (const draw of themed) draw();
  });
}
