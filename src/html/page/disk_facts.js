// What a disk is at the end of a test: its rules, its counters, what is held, pending and damaged.

function diskFacts(disk) {
  const { facts, requests } = disk;
  const { record } = facts;
  const meta = [
    ["Image", record.image], ["Size", record.size ? bytes(record.size) : ""], ["Cache", record.cache], ["Seed", record.seed ? String(record.seed) : ""],
  ].filter(([, value]) => value);
  return el("section", { class: "facts", "aria-label": `State of ${disk.name}` },
    el("h3", {}, disk.name),
    el("dl", {}, meta.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    rulesTable(facts.rules),
    statsTable(facts.stats),
    heldTable(disk, requests),
    lines("Answered, not durable", facts.pending),
    lines("Damage that rules did", facts.damage));
}

function table(caption, heads, rows, number = rows.length) {
  if (rows.length === 0) return null;
  return el("details", { open: true },
    el("summary", {}, caption, el("b", {}, count(number))),
    el("div", { class: "wide" }, el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows))));
}

function cell(value, kind) {
  return el("td", { class: kind ?? null }, value);
}

function rulesTable(rules) {
  const number = (value) => (value == null ? "–" : count(value));
  const rows = rules.map((rule) =>
    el("tr", { class: rule.fired ? "acted" : null },
      el("td", { class: "code" }, rule.text, rule.remark && el("span", { class: "remark" }, rule.remark)),
      cell(number(rule.fired), "number"), cell(number(rule.matched), "number"), cell(number(rule.considered), "number"), cell(number(rule.left), "number")));
  return table("Armed rules", ["Rule", "Fired", "Matched", "Considered", "Left"], rows);
}

/** The counters of each operation in a row. */
function statsTable(stats) {
  const values = new Map(stats);
  const of = (op, key) => values.get(`${op}_${key}`) ?? 0;
  const rows = OPS.filter((op) => of(op, "requests")).map((op) => {
    const effects = ["delayed", "held", "lost", "torn", "misdirected", "corrupted", "stale", "cut"].filter((effect) => of(op, effect));
    const latency = (figure) => (of(op, `latency_ns_${figure}`) ? duration(of(op, `latency_ns_${figure}`) / 1e9) : "–");
    const errors = of(op, "errors_injected") + of(op, "errors_host");
    return el("tr", { class: errors || effects.length ? "acted" : null },
      el("td", { class: `key ${op}` }, op), cell(count(of(op, "requests")), "number"), cell(bytes(of(op, "bytes")), "number"),
      cell(count(errors), "number"), cell(effects.map((effect) => `${count(of(op, effect))} ${effect}`).join(", ") || "–"),
      cell(latency("p50"), "number"), cell(latency("p99"), "number"), cell(latency("max"), "number"));
  });
  return table("Requests since it was attached", ["Operation", "Requests", "Bytes", "Errors", "Effects of rules", "Median", "99 %", "Longest"], rows, OPS.reduce((sum, op) => sum + of(op, "requests"), 0));
}

function heldTable(disk, requests) {
  const rows = [];
  for (let at = requests.answered; at < requests.length; at++) {
    rows.push(el("tr", {}, el("td", { class: `key ${OPS[requests.op[at]]}` }, OPS[requests.op[at]]), cell(count(requests.sector[at]), "number"), cell(count(requests.count[at]), "number"),
      cell(duration(requests.latency(at) / 1e6), "number"), cell(requests.rulesOf(at) || "–", "code")));
  }
  return table("Not answered", ["Operation", "Sector", "Sectors", "Age", "Waits for"], rows);
}

function lines(caption, all) {
  if (all.length === 0) return null;
  return el("details", { open: all.length <= 12 },
    el("summary", {}, caption, el("b", {}, count(all.length))),
    el("pre", { tabindex: "0" }, all.join("\n")));
}
