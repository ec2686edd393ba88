// The list of tests, and what chooses from it.

class Tests {
  /** `open(test)` shows a test. */
  constructor(run, open) {
    this.open = open;
    const place = (test) => VERDICTS.indexOf(test.verdict);
    this.all = [...run.tests].sort((a, b) => place(a) - place(b) || a.number - b.number);
    for (const test of this.all) {
      test.found = [test.name, test.file, test.tags.join(" "), test.message].join("\n").toLowerCase();
    }
    this.verdicts = new Set();
    this.rounds = this.all.some((test) => test.round > 1);
    this.makeFilters();
    const list = byId("list");
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Tests, failures first");
    list.tabIndex = 0;
    this.list = new VirtualList(list, {
      row: (test, at) => this.row(test, at),
      heightOf: (test) => (test.message ? 70 : 50),
    });
    list.addEventListener("click", (event) => {
      const row = event.target.closest("[data-at]");
      if (row) this.choose(Number(row.dataset.at), true);
    });
    this.filter();
  }

  makeFilters() {
    const again = () => this.filter();
    const values = (all) => [...new Set(all)].sort();
    const choice = (label, options) =>
      el("select", { "aria-label": label, change: again, hidden: options.length < 2 },
        el("option", { value: "" }, `All ${label.toLowerCase()}s`),
        options.map((option) => el("option", { value: option }, option)));
    const tags = values(this.all.flatMap((test) => test.tags));
    this.file = choice("File", values(this.all.map((test) => test.file)));
    this.tag = choice("Tag", tags);
    this.tag.hidden = tags.length === 0;
    this.text = el("input", { type: "search", id: "search", placeholder: "Search name, file, tag or error", "aria-label": "Search name, file, tag or error", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false", input: again });
    const present = VERDICTS.filter((verdict) => this.all.some((test) => test.verdict === verdict));
    this.chips = present.map((verdict) =>
      el("button", { type: "button", class: "chip", "aria-pressed": "false", "data-verdict": verdict, click: () => this.toggle(verdict) },
        sign(verdict), VERDICT_WORDS[verdict], el("b", {}, count(this.all.filter((test) => test.verdict === verdict).length))));
    const form = byId("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.append(
      el("div", { class: "search" }, this.text, el("kbd", { "aria-hidden": "true" }, "/")),
      el("div", { class: "chips", role: "group", "aria-label": "Verdicts" }, this.chips),
      el("div", { class: "choices" }, this.file, this.tag));
  }

  toggle(verdict) {
    if (!this.verdicts.delete(verdict)) this.verdicts.add(verdict);
    for (const chip of this.chips) chip.setAttribute("aria-pressed", this.verdicts.has(chip.dataset.verdict));
    this.filter();
  }

  filter() {
    const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (test) =>
      (this.verdicts.size === 0 || this.verdicts.has(test.verdict)) &&
      (!this.file.value || test.file === this.file.value) &&
      (!this.tag.value || test.tags.includes(this.tag.value)) &&
      words.every((word) => test.found.includes(word));
    const shown = this.all.filter(matches);
    const all = shown.length === this.all.length;
    byId("found").textContent = all ? counted(this.all.length, "test") : `${count(shown.length)} of ${counted(this.all.length, "test")}`;
    this.at = shown.findIndex((test) => test.number === this.shown?.number);
    byId("list").scrollTop = 0;
    this.list.set(shown);
    if (this.at >= 0) this.list.reveal(this.at);
  }

  /** Forgets all filters. */
  clear() {
    this.text.value = this.file.value = this.tag.value = "";
    this.verdicts.clear();
    for (const chip of this.chips) chip.setAttribute("aria-pressed", "false");
    this.filter();
  }

  row(test, at) {
    const where = test.line ? `${test.file}:${test.line}` : test.file;
    const chosen = at === this.at;
    return el("div", { class: `test ${test.verdict}`, role: "option", id: `test-${at}`, "data-at": at, "aria-selected": String(chosen) },
      sign(test.verdict, VERDICT_WORDS[test.verdict]),
      el("div", { class: "name", title: test.name }, test.name),
      el("div", { class: "took" }, test.verdict === "not_run" || test.verdict === "skipped" ? "" : duration(test.seconds)),
      el("div", { class: "where" }, where, this.rounds ? ` · round ${test.round}` : ""),
      test.message && el("div", { class: "why" }, reason(test)));
  }

  /** Chooses the row at `at` of those that are listed. `enter` also goes to it, where only one of both fits. */
  choose(at, enter) {
    const test = this.list.items[at];
    if (!test) return;
    for (const row of [this.list.rows.get(this.at), this.list.rows.get(at)]) {
      row?.setAttribute("aria-selected", row.dataset.at === String(at));
    }
    this.at = at;
    this.shown = test;
    this.list.reveal(at);
    byId("list").setAttribute("aria-activedescendant", `test-${at}`);
    this.open(test, enter);
  }

  /** Moves down, or up for -1. */
  step(by) {
    const last = this.list.items.length - 1;
    this.choose(this.at < 0 ? 0 : Math.min(Math.max(this.at + by, 0), last), false);
  }

  /** Chooses the test with this number, which a link names. */
  find(number) {
    const at = this.list.items.findIndex((test) => test.tries.some((one) => one.number === number));
    if (at >= 0) this.choose(at, true);
    return at >= 0;
  }
}

/** The first line of a message, without the place that stands beside it. */
function reason({ message, file }) {
  const line = message.split("\n", 1)[0];
  return line.startsWith(`${file}:`) ? line.slice(file.length + 1).replace(/^(\d+): /, "line $1: ") : line;
}
