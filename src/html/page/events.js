// What happened in a test, in seconds since it began.

const OPS = ["read", "write", "flush", "discard", "zero"];
const FLUSH = 2;
const NOT_FLUSHES = new Set([0, 1, 3, 4]);

/** What came of a request, from harmless to harmful. */
const FINE = 0;
const WAITED = 1;
const CHANGED = 2;
const FAILED = 3;

/** The kind of a verdict, as a trace writes it. */
function verdictKind(verdict) {
  let kind = FINE;
  for (const word of verdict.split("+")) {
    if (word === "ok") continue;
    if (word === "delayed" || word === "held") kind = Math.max(kind, WAITED);
    else if (/^[a-z]+$/.test(word)) kind = Math.max(kind, CHANGED);
    else kind = FAILED;
  }
  return kind;
}

/** The requests of a disk, by the time of their answers; those without an answer end with the test. */
class Requests {
  constructor(disk, began, ended) {
    const { requests } = disk.trace;
    const open = disk.in_flight;
    const answered = requests.at.length;
    this.length = answered + open.op.length;
    this.answered = answered;
    this.strings = requests.strings;
    this.until = new Float64Array(this.length);
    this.from = new Float64Array(this.length);
    this.op = new Uint8Array(this.length);
    this.kind = new Uint8Array(this.length);
    this.sector = requests.sector.concat(open.sector);
    this.count = requests.count.concat(open.count);
    this.verdict = requests.verdict;
    this.rule = requests.rules;
    this.openRules = open.rules;
    this.longest = 0;
    this.shortest = Infinity;
    const ops = requests.strings.map((text) => OPS.indexOf(text));
    const kinds = requests.strings.map(verdictKind);
    let micros = 0;
    for (let at = 0; at < answered; at++) {
      micros += requests.at[at];
      this.until[at] = micros / 1e6 - began;
      this.from[at] = this.until[at] - requests.latency[at] / 1e6;
      this.op[at] = ops[requests.op[at]];
      this.kind[at] = kinds[requests.verdict[at]];
      this.longest = Math.max(this.longest, requests.latency[at] / 1e6);
      this.shortest = Math.min(this.shortest, requests.latency[at] / 1e6);
    }
    open.op.forEach((op, place) => {
      const at = answered + place;
      this.until[at] = Math.max(ended - began, answered ? this.until[answered - 1] : 0);
      this.from[at] = ended - began - open.age[place] / 1e6;
      this.op[at] = OPS.indexOf(op);
      this.kind[at] = WAITED;
      this.longest = Math.max(this.longest, this.until[at] - this.from[at]);
    });
    this.latencies = requests.latency;
    this.faults = this.kind.reduce((sum, kind) => sum + (kind !== FINE), 0);
    this.span();
  }

  /** The sectors that requests touch. */
  span() {
    let [low, high] = [Infinity, 0];
    for (let at = 0; at < this.length; at++) {
      if (this.op[at] === FLUSH) continue;
      low = Math.min(low, this.sector[at]);
      high = Math.max(high, this.sector[at] + this.count[at]);
    }
    this.low = low === Infinity ? 0 : low;
    this.high = Math.max(high, this.low + 8);
  }

  isOpen(at) {
    return at >= this.answered;
  }

  verdictOf(at) {
    return this.isOpen(at) ? "not answered" : this.strings[this.verdict[at]];
  }

  rulesOf(at) {
    return this.isOpen(at) ? this.openRules[at - this.answered] : this.strings[this.rule[at]];
  }

  /** In microseconds. */
  latency(at) {
    return this.isOpen(at) ? (this.until[at] - this.from[at]) * 1e6 : this.latencies[at];
  }

  /** The first request that was answered at this time or later. */
  firstFrom(time) {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.until[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** One line about a request. */
  line(at) {
    const what = `${OPS[this.op[at]].padEnd(7)} ${this.op[at] === FLUSH ? "" : `${this.sector[at]}+${this.count[at]} `}`;
    const rules = this.rulesOf(at);
    return `${what}${this.verdictOf(at)} ${duration(this.latency(at) / 1e6)}${rules ? `  ${rules}` : ""}`;
  }
}

/** A test as the page shows it. */
function readEvents(detail) {
  const { record } = detail;
  const times = [detail.calls.at, ...detail.consoles.map((one) => one.lines.at), ...detail.disks.map((disk) => disk.trace.notes.at)];
  const first = Math.min(...times.map((all) => all[0] ?? Infinity), ...detail.disks.map((disk) => (disk.trace.requests.at[0] ?? Infinity) / 1e6));
  const began = record.began || (first === Infinity ? 0 : first);
  const ended = record.ended || began + record.seconds;
  const since = (all) => Float64Array.from(all, (time) => time - began);
  const events = {
    began,
    ended: ended - began,
    calls: { at: since(detail.calls.at), ms: detail.calls.ms ?? [], text: detail.calls.text },
    consoles: detail.consoles.map((one) => ({ vm: one.vm, at: since(one.lines.at), text: one.lines.text })),
    disks: detail.disks.map((disk) => ({
      name: disk.name,
      facts: disk,
      requests: new Requests(disk, began, ended),
      notes: { at: since(disk.trace.notes.at), kind: disk.trace.notes.kind, text: disk.trace.notes.text },
    })),
  };
  return { ...events, marks: marksOf(events.disks), ...spanOf(events) };
}

/** Whether a call has failed: its error stands behind it. */
function hasFailed(call) {
  return call.includes(") -> ");
}

/** The marks of all disks by time; one that several disks have is one. */
function marksOf(disks) {
  const marks = [];
  for (const { notes } of disks) {
    notes.kind.forEach((kind, at) => {
      const mark = { at: notes.at[at], text: notes.text[at] };
      const same = (other) => other.text === mark.text && Math.abs(other.at - mark.at) < 0.01;
      if (kind === "mark" && !marks.some(same)) marks.push(mark);
    });
  }
  marks.sort((a, b) => a.at - b.at);
  return { at: marks.map((mark) => mark.at), text: marks.map((mark) => mark.text) };
}

/** From the first event to the last one, with a little room. */
function spanOf(events) {
  let [min, max] = [0, events.ended];
  const take = (from, to) => {
    min = Math.min(min, from);
    max = Math.max(max, to);
  };
  const { at, ms } = events.calls;
  for (let one = 0; one < at.length; one++) take(at[one], at[one] + ms[one] / 1e3);
  for (const { requests, notes } of events.disks) {
    for (let one = 0; one < requests.length; one++) take(requests.from[one], requests.until[one]);
    for (const time of notes.at) take(time, time);
  }
  const room = Math.max((max - min) * 0.015, 0.0005);
  return { min: min - room, max: max + room };
}

/** The times without power of a disk: from each cut to the return, or to the end. */
function powerOff(notes, end) {
  const spans = [];
  let from = null;
  notes.kind.forEach((kind, at) => {
    if (kind === "cut" && from === null) from = notes.at[at];
    if (kind === "on" && from !== null) {
      spans.push([from, notes.at[at]]);
      from = null;
    }
  });
  if (from !== null) spans.push([from, end]);
  return spans;
}
