// One test: how it ended and why, its timeline with the log beside it, its disks, and how to run it again.

/** What is shown; ended before another one is. */
let shown = { end() {} };

/** Shows the last try of `test`, or the one with this number. */
async function showTest(run, test, number = test.number) {
  const one = test.tries.find((each) => each.number === number) ?? test;
  const host = byId("detail");
  const asked = (shown.asked = {});
  host.setAttribute("aria-busy", "true");
  const detail = await readDetail(one);
  if (shown.asked !== asked) return;
  shown.end();
  shown = { end() {} };
  const events = readEvents(detail);
  const [time, log] = [el("div", { class: "timeline" }), el("div", { class: "log-pane" })];
  host.replaceChildren(...[
    heading(run, test, one, detail),
    message(one, detail),
    el("section", { class: "center", "aria-label": "Timeline" }, time, log),
    el("section", { class: "disks", "aria-label": "Disks at the end" }, events.disks.map(diskFacts)),
    about(run, detail, events),
  ].filter(Boolean));
  host.scrollTop = 0;
  shown = wire(time, log, events);
  host.removeAttribute("aria-busy");
  if (one.verdict === "failed") shown.log.toEnd();
  document.title = `${VERDICT_WORDS[one.verdict]}: ${one.name} – provium`;
}

/** Joins the timeline and the log. */
function wire(time, logHost, events) {
  const log = new Log(logHost, events, (moment) => {
    timeline.hover.point(moment);
    timeline.hover.moment = moment;
  });
  const tell = {
    moment: (moment) => moment !== null && log.reveal(moment),
    view: (view) => log.look(view, timeline.isWhole()),
    pick: (event) => log.pick(event),
  };
  const timeline = new Timeline(time, events, (what, value) => tell[what](value));
  timeline.resize();
  return { timeline, log, end: () => timeline.end() };
}

function heading(run, test, one, detail) {
  const { record } = detail;
  const where = record.line ? `${record.file}:${record.line}` : record.file;
  const when = record.began ? clocks.format(new Date(run.began + (record.began - run.monotonic_began) * 1000)) : null;
  const took = one.verdict === "skipped" || one.verdict === "not_run" ? null : duration(record.seconds);
  const tries = test.tries.length < 2 ? null : el("div", { class: "tries", role: "group", "aria-label": "Tries" }, test.tries.map((each) =>
    el("a", { href: `#test-${each.number}`, "aria-current": each.number === one.number ? "true" : null }, sign(each.verdict), `Try ${each.attempt} ${VERDICT_WORDS[each.verdict]}`)));
  return el("header", {},
    el("a", { class: "back", href: "#" }, "← All tests"),
    el("p", { class: "where" }, el("span", { class: `badge ${one.verdict}` }, sign(one.verdict), VERDICT_WORDS[one.verdict]), el("code", {}, where),
      ...[took, when && `began ${when}`, record.round > 1 && `round ${record.round}`].filter(Boolean).map((text) => el("span", {}, text))),
    el("h2", {}, record.name),
    record.tags.length > 0 && el("ul", { class: "tags", "aria-label": "Tags" }, record.tags.map((tag) => el("li", {}, tag))),
    tries);
}

function message(one, detail) {
  const text = detail.record.message.trimEnd();
  if (!text) return null;
  const [first, ...rest] = text.split("\n");
  const long = first.length > 700;
  return el("section", { class: `message ${one.verdict}`, "aria-label": one.verdict === "failed" ? "Error" : "Reason" },
    el("p", {}, long ? `${first.slice(0, 300)} … ${first.slice(-300)}` : first),
    long && el("details", {}, el("summary", {}, `All ${count(first.length)} characters of this line`), el("pre", { tabindex: "0" }, first)),
    rest.length > 0 && el("pre", { tabindex: "0" }, rest.join("\n")));
}

function about(run, detail, events) {
  const { record } = detail;
  const seeds = Object.entries(record.seeds.rules).map(([disk, seed]) => [`Seed of ${disk}`, String(seed)]);
  if (record.seeds.shuffle != null) seeds.push(["Seed of the order", String(record.seeds.shuffle)]);
  const rows = [...Object.entries(record.versions), ...seeds];
  const lost = detail.disks.filter((disk) => disk.trace.lost).map((disk) => `${disk.name}: ${counted(disk.trace.lost, "line")} of the trace were lost: its reader was too slow`);
  const remarks = [...lost, ...detail.remarks];
  return el("footer", {},
    record.command && el("section", { class: "again" }, el("h3", {}, "Run it again"), command(record.command)),
    rows.length > 0 && el("section", {}, el("h3", {}, "Versions and seeds"), el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]))),
    remarks.length > 0 && el("section", { class: "remarks" }, el("h3", {}, "Not complete"), el("ul", {}, remarks.map((remark) => el("li", {}, remark)))),
    el("p", { class: "clock" }, `Times are seconds since the test began, at ${events.began.toFixed(6)} s of the clock of dmesg.`));
}

/** A command line with a button that copies it. */
function command(text) {
  const copy = el("button", { type: "button", click: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  } }, "Copy");
  const code = el("code", { tabindex: "0" }, text);
  return el("div", { class: "command" }, code, copy);
}
