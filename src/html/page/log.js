// The log beside the timeline: consoles, calls, marks, power and requests in one list, on the same clock.

const LOG_KINDS = [["console", "Console"], ["call", "Calls"], ["note", "Marks and power"], ["request", "I/O"]];

class Log {
  /** `tell(time)` with the moment of the row under the pointer; null without one. */
  constructor(host, events, tell) {
    this.events = events;
    this.kinds = new Set(["console", "call", "note"]);
    this.tell = tell;
    this.view = null;
    const has = {
      console: events.consoles.some((one) => one.at.length),
      call: events.calls.at.length > 0,
      note: events.disks.some((disk) => disk.notes.at.length),
      request: events.disks.some((disk) => disk.requests.length),
    };
    const requests = events.disks.reduce((sum, disk) => sum + disk.requests.length, 0);
    if (requests <= 100 || (!has.console && !has.call)) this.kinds.add("request");
    this.buttons = LOG_KINDS.filter(([kind]) => has[kind]).map(([kind, label]) =>
      el("button", { type: "button", class: `chip ${kind}`, "data-kind": kind, "aria-pressed": String(this.kinds.has(kind)), click: () => this.toggle(kind) }, label));
    this.text = el("input", { type: "search", placeholder: "Find in the log", "aria-label": "Find in the log", autocomplete: "off", spellcheck: "false", input: oncePerFrame(() => this.filter()) });
    this.found = el("span", { class: "heard", role: "status" });
    this.scroller = el("div", { class: "log", role: "list", tabindex: "0", "aria-label": "Log of the test" });
    host.append(el("div", { class: "log-tools" }, this.buttons, this.text, this.found), this.scroller);
    this.list = new VirtualList(this.scroller, { row: (item) => this.row(item), height: 20 });
    this.scroller.addEventListener("mouseover", (event) => {
      const row = event.target.closest("[data-time]");
      this.inside = Boolean(row);
      if (row) this.tell(Number(row.dataset.time));
    });
    this.scroller.addEventListener("mouseleave", () => {
      this.inside = false;
      this.tell(null);
    });
    this.filter();
  }

  toggle(kind) {
    if (!this.kinds.delete(kind)) this.kinds.add(kind);
    for (const button of this.buttons) button.setAttribute("aria-pressed", this.kinds.has(button.dataset.kind));
    const middle = this.list.items[this.list.at(this.scroller.scrollTop + this.scroller.clientHeight / 2)];
    this.filter();
    if (middle) this.reveal(middle.time);
  }

  /** The events of the kinds that are shown, by time. */
  collect() {
    const items = [];
    const { consoles, calls, disks } = this.events;
    const add = (kind, source, at, text) => {
      for (let one = 0; one < at.length; one++) items.push({ kind, source, time: at[one], at: one, text: text(one) });
    };
    if (this.kinds.has("console")) for (const one of consoles) add("console", one.vm, one.at, (at) => one.text[at]);
    if (this.kinds.has("call")) add("call", "test", calls.at, (at) => calls.text[at]);
    for (const disk of disks) {
      const noted = (at) => (disk.notes.kind[at] === "mark" ? `mark: ${disk.notes.text[at]}` : disk.notes.kind[at] === "event" ? disk.notes.text[at] : `power ${disk.notes.text[at]}`);
      if (this.kinds.has("note")) add("note", disk.name, disk.notes.at, noted);
      if (this.kinds.has("request")) add("request", disk.name, disk.requests.until, (at) => disk.requests.line(at));
    }
    return items.sort((a, b) => a.time - b.time);
  }

  filter() {
    const words = this.text.value.toLowerCase();
    const items = this.collect().filter((item) => !words || item.text.toLowerCase().includes(words));
    this.list.set(items);
    this.scroller.classList.toggle("empty", items.length === 0);
    this.found.textContent = words ? counted(items.length, "line") : "";
  }

  row(item) {
    const { requests } = this.events.disks.find((disk) => disk.name === item.source) ?? {};
    const bad = item.kind === "request" ? requests.kind[item.at] !== FINE : item.kind === "call" && hasFailed(item.text);
    const took = item.kind === "call" ? el("i", {}, duration(this.events.calls.ms[item.at] / 1e3)) : null;
    const outside = this.view && (item.time < this.view.min || item.time > this.view.max);
    return el("div", { class: `line ${item.kind}${bad ? " bad" : ""}${outside ? " outside" : ""}${item === this.marked ? " marked" : ""}`, role: "listitem", "data-time": item.time, title: item.text.length > 60 ? item.text : null },
      el("time", {}, moment(item.time)), el("span", { class: "source" }, item.source), el("span", { class: "text" }, item.text), took);
  }

  /** The place of the last line at or before a moment. */
  place(time) {
    let [low, high] = [0, this.list.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list.items[middle].time <= time) low = middle + 1;
      else high = middle;
    }
    return Math.max(low - 1, 0);
  }

  /** Shows the line of a moment, unless the pointer is in the log. */
  reveal(time) {
    if (this.inside || this.list.items.length === 0) return;
    const at = this.place(time);
    this.mark(at);
    this.list.reveal(at, true);
  }

  mark(at) {
    this.marked = this.list.items[at];
    for (const [place, row] of this.list.rows) row.classList.toggle("marked", place === at);
  }

  /** Shows an event of the timeline, with its kind if that was hidden. */
  pick({ kind, disk, at, time }) {
    if (!this.kinds.has(kind)) this.toggle(kind);
    const source = disk?.name ?? "test";
    let place = this.list.items.findIndex((item) => item.kind === kind && item.at === at && item.source === source);
    if (place < 0) place = this.place(time);
    this.mark(place);
    this.list.reveal(place, true);
  }

  /** Dims what the timeline does not show, and shows the rest. */
  look(view, whole) {
    this.view = whole ? null : { ...view };
    this.list.again();
    if (!whole && !this.inside) this.list.reveal(this.place((view.min + view.max) / 2), true);
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.list.show();
  }
}
