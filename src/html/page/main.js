// The page as a whole: summary, keys, and the address that names a test.

const KEYS = [
  ["j, k", "next test, test before it"],
  ["Enter", "go to the test; on a request of the timeline: show it in the log"],
  ["/", "search"],
  ["Esc", "leave the search, the test, or this list"],
  ["+, -", "zoom in and out, around the pointer"],
  ["0", "the whole test"],
  ["h, l", "earlier, later"],
  ["←, →", "in a plot: request before it, next request"],
  ["t", "auto, light or dark"],
  ["?", "this list"],
];

function summary(run) {
  const sums = Object.fromEntries(VERDICTS.map((verdict) => [verdict, run.tests.filter((test) => test.verdict === verdict).length]));
  const bad = sums.failed + sums.not_run;
  const head = sums.failed ? `${count(sums.failed)} of ${counted(run.tests.length, "test")} failed`
    : sums.not_run ? `${counted(sums.not_run, "test")} did not run`
    : run.tests.length === 0 ? "No tests" : run.tests.length === 1 ? "The test passed" : sums.passed + sums.flaky === 0 ? "Nothing ran" : `All ${counted(run.tests.length - sums.skipped, "test")} passed`;
  const rest = VERDICTS.filter((verdict) => sums[verdict] && !(verdict === "failed")).map((verdict) => `${count(sums[verdict])} ${VERDICT_WORDS[verdict]}`);
  const began = run.began ? dates.format(new Date(run.began)) : "";
  byId("summary").append(
    el("h1", { class: bad ? "failed" : "passed" }, sign(bad ? "failed" : "passed"), head),
    el("p", { class: "rest" }, [rest.join(", "), began, `took ${duration(run.seconds)}`].filter(Boolean).map((text) => el("span", {}, text)), el("code", { title: run.command }, run.command)),
    el("div", { class: "share", "aria-hidden": "true" }, VERDICTS.filter((verdict) => sums[verdict]).map((verdict) => {
      const part = el("span", { class: verdict });
      part.style.flexGrow = sums[verdict];
      return part;
    })));
  document.title = `${head} – provium`;
}

function makeHelp() {
  const help = byId("help");
  help.append(
    el("h2", { id: "help-title" }, "Keys"),
    el("dl", {}, KEYS.map(([keys, what]) => [el("dt", {}, keys.split(", ").map((key) => el("kbd", {}, key))), el("dd", {}, what)])),
    el("p", {}, "Drag over a plot to zoom. Ctrl or Shift and the wheel zoom too; a double click shows the whole test. A click on a request shows it in the log."),
    el("form", { method: "dialog" }, el("button", {}, "Close")));
  byId("help-open").addEventListener("click", () => help.showModal());
}

/** What each key does. Returns whether it did something. */
function press(key, tests) {
  const { timeline } = shown;
  const actions = {
    j: () => tests.step(1),
    k: () => tests.step(-1),
    Enter: () => (tests.at < 0 ? tests.choose(0, true) : tests.choose(tests.at, true)),
    "/": () => byId("search").select(),
    Escape: () => closeTest(),
    "?": () => byId("help").showModal(),
    t: nextTheme,
    "+": () => timeline?.zoom(0.5),
    "=": () => timeline?.zoom(0.5),
    "-": () => timeline?.zoom(2),
    0: () => timeline?.whole(),
    h: () => timeline?.pan(-1),
    l: () => timeline?.pan(1),
  };
  actions[key]?.();
  return key in actions;
}

function listenToKeys(tests) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || byId("help").open || event.defaultPrevented) return;
    const { target, key } = event;
    const inList = target.id === "list";
    if (!(target instanceof Element)) return;
    if (target.matches("input")) {
      if (key === "Escape") byId("list").focus();
      if (target.id !== "search" || !["ArrowDown", "ArrowUp", "Enter", "Escape"].includes(key)) return;
      if (key === "Escape") return;
    } else if (target.matches("select") || (key === "Enter" && target.matches("a, button, summary, .u-over"))) return;
    const moves = inList || target.id === "search" ? { ArrowDown: "j", ArrowUp: "k" } : {};
    if (press(moves[key] ?? key, tests)) event.preventDefault();
  });
}

/** On a narrow screen, back to the list. */
function closeTest() {
  document.body.classList.remove("reading");
  byId("list").focus({ preventScroll: true });
}

async function start() {
  const run = await readRun();
  startTheme();
  summary(run);
  makeHelp();
  byId("top").hidden = byId("main").hidden = false;
  const read = async (test, enter, number) => {
    if (enter) {
      document.body.classList.add("reading");
      byId("detail").focus({ preventScroll: true });
    }
    history.replaceState(null, "", `#test-${number ?? test.number}`);
    await showTest(run, test, number);
  };
  const tests = new Tests(run, read);
  listenToKeys(tests);
  const follow = async () => {
    const number = Number(/^#test-(\d+)$/.exec(location.hash)?.[1] ?? NaN);
    const test = run.tests.find((each) => each.tries.some((one) => one.number === number));
    if (!test) return closeTest();
    if (test.number !== tests.shown?.number && !tests.find(number)) tests.clear();
    await read(test, true, number);
  };
  addEventListener("hashchange", follow);
  if (location.hash.startsWith("#test-")) await follow();
  else if (run.tests.length) tests.choose(0, false);
  performance.mark("provium-ready");
}

start().catch((error) => {
  const place = byId("failure");
  place.hidden = false;
  place.textContent = `This page cannot be shown: ${error.message}. It needs a browser of 2024 or later.`;
  throw error;
});
