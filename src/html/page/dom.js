// Making elements. Texts go in as text, never as HTML: names, messages and consoles are hostile.

/** An element. `attributes` with a function are listeners; null, undefined and false leave one out. */
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** The shapes of the signs of verdicts: outlines in a square of 16. */
const SHAPES = {
  failed: "M5 5l6 6M11 5l-6 6",
  passed: "M4.5 8.3l2.4 2.4 4.6-5",
  flaky: "M4 9.2c1.4-3 2.7-3 4-1.2s2.6 1.800 4-1.2",
  skipped: "M5 8h6",
  not_run: "M8 4.800v3.700M8 11v.2",
};

/** The sign of a verdict; its word stands beside it, or is its label. */
function sign(verdict, label) {
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const svg = make("svg", { viewBox: "0 0 16 16", class: `sign ${verdict}`, ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }) });
  svg.append(make("circle", { cx: 8, cy: 8, r: 8 }), make("path", { d: SHAPES[verdict] }));
  return svg;
}

/** Calls `call` once in the next frame, however often it is asked. */
function oncePerFrame(call) {
  let asked = false;
  let last;
  return (...values) => {
    last = values;
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      call(...last);
    });
  };
}

/** Says something to those who hear the page. */
function announce(text) {
  const live = byId("live") ?? document.body.appendChild(el("div", { id: "live", class: "heard", "aria-live": "polite" }));
  live.textContent = text;
}
