// The timeline of a test: a plot of its own calls, and two plots for each disk, on one clock.

const LANE = 19;
/** The shortest time that is shown, in seconds. */
const SHORTEST = 20e-6;

class Timeline {
  /** `tell(what, value)`: `moment` under the pointer (null without one), `view` that is shown, `pick` of an event. */
  constructor(host, events, tell) {
    this.host = host;
    this.events = events;
    this.tell = tell;
    this.view = { min: events.min, max: events.max };
    this.hidden = new Set();
    this.plots = [];
    this.top = el("div", { class: "top" }, this.toolbar());
    host.append(this.top);
    this.lanes = lanesOf(events.calls);
    this.lanes.above = events.marks.at.length ? 1 : 0;
    this.addCalls();
    for (const disk of events.disks) this.addDisk(disk);
    this.addLegend();
    this.hover = new Hover(this);
    this.draw = () => this.plots.forEach(({ u }) => u.redraw());
    themed.add(this.draw);
    this.resized = new ResizeObserver(oncePerFrame(() => this.resize()));
    this.resized.observe(host);
  }

  end() {
    themed.delete(this.draw);
    this.resized.disconnect();
    this.hover.end();
    for (const { u } of this.plots) u.destroy();
  }

  toolbar() {
    const button = (label, key, text, click) =>
      el("button", { type: "button", "aria-label": label, title: `${label} (${key})`, "aria-keyshortcuts": key, click }, text);
    this.range = el("output", { class: "range", "aria-label": "Time that is shown" });
    return el("div", { class: "toolbar", role: "group", "aria-label": "Time" },
      button("Earlier", "h", "←", () => this.pan(-1)),
      button("Later", "l", "→", () => this.pan(1)),
      button("Zoom out", "-", "−", () => this.zoom(2)),
      button("Zoom in", "+", "+", () => this.zoom(0.5)),
      button("Whole test", "0", "All", () => this.whole()),
      this.range);
  }

  addCalls() {
    const height = (this.lanes.count + this.lanes.above) * LANE + 26;
    const holder = el("div", { class: "plot calls" });
    this.top.append(holder);
    this.add({
      kind: "calls", holder, height, y: [0, 1], top: true,
      label: `${counted(this.events.calls.at.length, "call")} of the test. The log lists them.`,
      draw: (place) => {
        for (const { notes } of this.events.disks.slice(0, 1)) drawMoments(place, { notes, events: this.events });
        drawCalls(place, this.events.calls, this.lanes, LANE);
        drawMarkTexts(place, this.events.marks, LANE);
      },
    });
  }

  addDisk(disk) {
    const { requests, facts } = disk;
    const [sectors, latencies] = [el("div", { class: "plot" }), el("div", { class: "plot" })];
    const said = `${counted(requests.length, "request")}, ${counted(requests.faults, "fault")}`;
    this.host.append(el("section", { class: "disk", "aria-label": `Disk ${disk.name}` },
      el("h3", {}, disk.name, el("span", {}, [facts.record.size ? bytes(facts.record.size) : null, said].filter(Boolean).join(" · "))),
      ...(requests.length || disk.notes.at.length ? [sectors, latencies] : [])));
    if (!requests.length && !disk.notes.at.length) return;
    const room = Math.max((requests.high - requests.low) * 0.06, 1);
    this.add({
      kind: "sectors", disk, holder: sectors, height: 150,
      y: [Math.max(requests.low - room, -room), requests.high + room], ticks: { values: (all) => all.map((value) => (value < 0 ? "" : short(value))), title: "sector" },
      label: `Requests of ${disk.name} by sector: ${said}. Left and right arrow go from one to the next.`,
      draw: (place) => {
        drawMoments(place, { notes: disk.notes, events: this.events }, true);
        drawSectors(place, requests, this.hidden);
      },
    });
    const most = Math.ceil(Math.max(logLatency(requests.longest * 1e6), 3));
    const least = Math.min(Math.floor(logLatency(Math.min(requests.shortest, requests.longest) * 1e6)), most - 2);
    const powers = Array.from({ length: most - least + 1 }, (_, at) => least + at);
    const splits = powers.filter((power) => most - least < 4 || power % 2 === most % 2);
    this.add({
      kind: "latencies", disk, holder: latencies, height: 84,
      y: [least - 0.2, most + 0.3], ticks: { splits: () => splits, values: (all) => all.map((power) => duration(10 ** power / 1e6)), title: "latency" },
      label: `Latencies of the requests of ${disk.name}.`,
      draw: (place) => {
        drawMoments(place, { notes: disk.notes, events: this.events });
        drawLatencies(place, requests, this.hidden);
      },
    });
  }

  add(plot) {
    const { holder, height, y, ticks, top } = plot;
    const axis = {
      stroke: () => palette.muted, font: "11px system-ui, sans-serif",
      grid: { stroke: () => palette.line, width: 1 }, ticks: { show: false },
    };
    const over = { x: true, y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: 4 }, bind: { dblclick: () => () => this.whole() } };
    const options = {
      width: Math.max(holder.clientWidth, 100), height, legend: { show: false }, cursor: over, padding: [top ? 0 : 4, 10, 0, 0],
      scales: { x: { time: false, range: () => [this.view.min, this.view.max] }, y: { range: () => y } },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [
        { ...axis, side: 0, size: top ? 24 : 0, space: 90, values: (u, splits, at, space, step) => (top ? splits.map((time) => tick(time, step)) : splits.map(() => "")) },
        { ...axis, size: 58, gap: 4, space: 24, grid: { ...axis.grid, show: !top }, values: (u, splits) => (ticks ? ticks.values(splits) : []), ...(ticks?.splits ? { splits: ticks.splits } : {}) },
      ],
      hooks: {
        draw: [(u) => onPlot(u, plot.draw)],
        setSelect: [(u) => this.selected(u)],
      },
    };
    plot.u = new uPlot(options, [[this.view.min, this.view.max], [null, null]], holder);
    if (ticks) holder.append(el("span", { class: "axis-title", "aria-hidden": "true" }, ticks.title));
    plot.u.over.tabIndex = plot.kind === "latencies" ? -1 : 0;
    plot.u.over.setAttribute("role", "img");
    plot.u.over.setAttribute("aria-label", plot.label);
    plot.u.over.addEventListener("wheel", (event) => this.wheel(event, plot), { passive: false });
    this.plots.push(plot);
  }

  addLegend() {
    const used = new Set(this.events.disks.flatMap(({ requests }) => [...new Set(requests.op)]));
    const ops = [...used].sort().map((op) =>
      el("button", { type: "button", class: `key ${OPS[op]}`, "aria-pressed": "true", title: `Show or hide each ${OPS[op]}`, click: (event) => this.toggle(op, event.currentTarget) }, OPS[op]));
    const kinds = [["waited", "waited"], ["changed", "lost or changed"], ["failed", "error"]];
    if (used.size) this.host.append(el("div", { class: "legend" }, ops, kinds.map(([name, text]) => el("span", { class: `fault ${name}` }, text))));
    else this.host.append(el("p", { class: "none" }, this.events.disks.length ? "No request came during this test." : "This test has no disks."));
  }

  toggle(op, button) {
    const hide = !this.hidden.delete(op);
    if (hide) this.hidden.add(op);
    button.setAttribute("aria-pressed", !hide);
    this.draw();
  }

  /** Shows the time from `min` to `max`. */
  show(min, max) {
    const { events, view } = this;
    const span = Math.min(Math.max(max - min, SHORTEST), events.max - events.min);
    const middle = (min + max) / 2;
    view.min = Math.min(Math.max(middle - span / 2, events.min), events.max - span);
    view.max = view.min + span;
    this.showRange();
    this.hover.hide();
    for (const { u } of this.plots) u.setScale("x", view);
    this.tell("view", view);
  }

  showRange() {
    const { min, max } = this.view;
    this.range.textContent = `${moment(Math.max(min, 0))} – ${moment(max)} s`;
  }

  isWhole() {
    return this.view.min <= this.events.min && this.view.max >= this.events.max;
  }

  whole() {
    this.show(this.events.min, this.events.max);
  }

  /** Shows `factor` times as much, around the moment under the pointer or the middle. */
  zoom(factor, around = this.hover.moment ?? (this.view.min + this.view.max) / 2) {
    const { min, max } = this.view;
    this.show(around - (around - min) * factor, around + (max - around) * factor);
  }

  pan(by) {
    const step = ((this.view.max - this.view.min) / 3) * by;
    this.show(this.view.min + step, this.view.max + step);
  }

  wheel(event, { u }) {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const turn = event.deltaY || event.deltaX;
    this.zoom(turn > 0 ? 1.25 : 0.8, u.posToVal(event.clientX - u.over.getBoundingClientRect().left, "x"));
  }

  selected(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.show(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
  }

  resize() {
    for (const { u, holder, height } of this.plots) {
      const width = holder.clientWidth;
      if (width > 0 && width !== u.width) u.setSize({ width, height });
    }
    this.showRange();
  }
}

/** A tick of the axis of time. */
function tick(time, step) {
  if (step >= 0.0005) return `${time.toFixed(decimals(step))} s`;
  return `${(time * 1e3).toFixed(decimals(step * 1e3))} ms`;
}

/** How many decimals multiples of `step` have. */
function decimals(step) {
  let digits = 0;
  while (digits < 6 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits += 1;
  return digits;
}
