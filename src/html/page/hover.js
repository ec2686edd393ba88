// What is under the pointer, and stepping from one request to the next with the keyboard.

/** How far from the pointer something is found, in pixels. */
const REACH = 14;

class Hover {
  constructor(timeline) {
    this.timeline = timeline;
    this.moment = null;
    this.box = el("div", { class: "tooltip", role: "tooltip", hidden: true });
    this.ring = el("div", { class: "ring", hidden: true });
    document.body.append(this.box);
    for (const plot of timeline.plots) {
      const { over } = plot.u;
      over.addEventListener("mousemove", oncePerFrame((event) => this.move(plot, event)));
      over.addEventListener("mouseleave", () => this.leave());
      over.addEventListener("click", (event) => this.click(plot, event));
      over.addEventListener("keydown", (event) => this.key(plot, event));
      over.addEventListener("blur", () => this.leave());
    }
  }

  end() {
    this.box.remove();
    this.ring.remove();
  }

  move(plot, { clientX, clientY }) {
    const { u } = plot;
    const box = u.over.getBoundingClientRect();
    const [left, top] = [clientX - box.left, clientY - box.top];
    this.moment = u.posToVal(left, "x");
    this.point(this.moment, u);
    this.timeline.tell("moment", this.moment);
    const found = this.nearest(plot, left, top);
    if (found) this.show(plot, found);
    else this.hide();
  }

  leave() {
    this.moment = null;
    this.point(null);
    this.hide();
    this.timeline.tell("moment", null);
  }

  click(plot, { clientX, clientY }) {
    const box = plot.u.over.getBoundingClientRect();
    const found = this.nearest(plot, clientX - box.left, clientY - box.top);
    if (found) this.timeline.tell("pick", found);
  }

  /** Moves the line of the pointer in all plots but `except`, which has it already. */
  point(time, except) {
    for (const { u } of this.timeline.plots) {
      if (u === except) continue;
      const left = time === null ? -10 : u.valToPos(time, "x");
      u.setCursor({ left, top: time === null ? -10 : 5 }, false);
    }
  }

  nearest(plot, left, top) {
    return plot.kind === "calls" ? this.nearestCall(plot, left, top) : this.nearestRequest(plot, left, top);
  }

  nearestCall({ u }, left, top) {
    const { events, lanes } = this.timeline;
    const { at, ms, text } = events.calls;
    const lane = Math.floor(top / LANE) - lanes.above;
    let best = null;
    let least = REACH;
    for (let one = 0; one < at.length; one++) {
      if (lanes.of[one] !== lane) continue;
      const [from, to] = [u.valToPos(at[one], "x"), u.valToPos(at[one] + ms[one] / 1e3, "x")];
      const away = Math.max(from - left, left - to, 0);
      if (away >= least) continue;
      least = away;
      best = { kind: "call", at: one, time: at[one], x: Math.max(from, 0), y: (lane + lanes.above + 0.5) * LANE, title: text[one], lines: [`at ${moment(at[one])} s, took ${duration(ms[one] / 1e3)}`] };
    }
    return best;
  }

  nearestRequest(plot, left, top) {
    const { u, disk } = plot;
    const { requests } = disk;
    const near = { min: u.posToVal(left - REACH, "x"), max: u.posToVal(left + REACH, "x") };
    let best = -1;
    let least = REACH * REACH;
    inSight(requests, near, this.timeline.hidden, (at) => {
      const { dx, dy } = this.away(plot, at, left, top);
      const distance = dx * dx + dy * dy - requests.kind[at] * 6;
      if (distance < least) {
        least = distance;
        best = at;
      }
    });
    return best < 0 ? null : this.request(plot, best);
  }

  /** How far a request is from a place, in pixels. */
  away(plot, at, left, top) {
    const { u, disk, kind } = plot;
    const { requests } = disk;
    const until = u.valToPos(requests.until[at], "x");
    if (kind === "latencies") return { dx: left - until, dy: top - u.valToPos(logLatency(requests.latency(at)), "y") };
    const dx = Math.max(u.valToPos(requests.from[at], "x") - left, left - until, 0);
    if (requests.op[at] === FLUSH) return { dx, dy: top > u.over.clientHeight - 12 ? 0 : 8 };
    const bottom = u.valToPos(requests.sector[at], "y");
    const high = u.valToPos(requests.sector[at] + requests.count[at], "y");
    return { dx, dy: Math.max(high - top, top - bottom, 0) };
  }

  request(plot, at) {
    const { u, disk, kind } = plot;
    const { requests } = disk;
    const op = OPS[requests.op[at]];
    const number = requests.count[at];
    const rules = requests.rulesOf(at);
    const where = requests.op[at] === FLUSH ? op : `${op} sector ${count(requests.sector[at])}, ${counted(number, "sector")} (${bytes(number * 512)})`;
    const y = kind === "latencies" ? u.valToPos(logLatency(requests.latency(at)), "y")
      : requests.op[at] === FLUSH ? u.over.clientHeight - 8
      : (u.valToPos(requests.sector[at], "y") + u.valToPos(requests.sector[at] + number, "y")) / 2;
    const took = duration(requests.latency(at) / 1e6);
    const when = requests.isOpen(at) ? `not answered, ${took} after it arrived` : `answered at ${moment(requests.until[at])} s, after ${took}`;
    return {
      kind: "request", disk, at, time: requests.until[at], x: u.valToPos(requests.until[at], "x"), y, title: where, op,
      lines: [when, requests.isOpen(at) ? null : `verdict: ${requests.verdictOf(at)}`, rules && `rule: ${rules}`].filter(Boolean),
      bad: requests.kind[at] !== FINE,
    };
  }

  show(plot, found) {
    const { over } = plot.u;
    this.box.replaceChildren(el("b", { class: found.op ?? "call" }, found.title), ...found.lines.map((line) => el("span", {}, line)));
    this.box.classList.toggle("bad", Boolean(found.bad));
    this.box.hidden = this.ring.hidden = false;
    over.append(this.ring);
    this.ring.style.transform = `translate(${found.x}px, ${found.y}px)`;
    const plotBox = over.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const x = Math.min(Math.max(plotBox.left + found.x + 14, 8), innerWidth - width - 8);
    const above = plotBox.top + found.y - height - 14;
    const y = above > 8 ? above : plotBox.top + found.y + 16;
    this.box.style.transform = `translate(${x}px, ${y}px)`;
  }

  hide() {
    this.box.hidden = this.ring.hidden = true;
  }

  /** Arrows go from request to request, Enter shows it in the log. */
  key(plot, event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Enter" && this.stepped?.plot === plot) this.timeline.tell("pick", this.stepped);
    if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const found = this.step(plot, by);
    if (!found) return;
    this.stepped = { ...found, plot };
    const { min, max } = this.timeline.view;
    if (found.time < min || found.time > max) this.timeline.show(found.time - (max - min) / 2, found.time + (max - min) / 2);
    const fresh = plot.kind === "calls" ? this.call(plot, found.at) : this.request(plot, found.at);
    this.moment = fresh.time;
    this.point(fresh.time);
    this.show(plot, fresh);
    this.timeline.tell("moment", fresh.time);
    announce([fresh.title, ...fresh.lines].join(", "));
  }

  step(plot, by) {
    const all = plot.kind === "calls" ? this.timeline.events.calls.at.length : plot.disk.requests.length;
    if (all === 0) return null;
    let at = this.stepped?.plot === plot ? this.stepped.at + by : plot.kind === "calls" ? 0 : plot.disk.requests.firstFrom(this.timeline.view.min);
    at = Math.min(Math.max(at, 0), all - 1);
    return plot.kind === "calls" ? this.call(plot, at) : this.request(plot, at);
  }

  call({ u }, at) {
    const { events, lanes } = this.timeline;
    const { at: times, ms, text } = events.calls;
    return { kind: "call", at, time: times[at], x: u.valToPos(times[at], "x"), y: (lanes.of[at] + lanes.above + 0.5) * LANE, title: text[at], lines: [`at ${moment(times[at])} s, took ${duration(ms[at] / 1e3)}`] };
  }
}
