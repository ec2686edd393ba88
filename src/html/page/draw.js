// Drawing on the canvas of a plot: requests, calls, marks and power cuts.

/** Pixels of a request that is too short or too small to see. */
const SMALLEST = 3;

/** The same, larger where there are few of them. */
function smallest(requests, { min, max }) {
  const number = requests.firstFrom(max) - requests.firstFrom(min);
  return number < 60 ? 5 : number < 300 ? 4 : SMALLEST;
}

/** Calls `draw(place)` with the canvas cut to the plot, and with what leads from values to pixels. */
function onPlot(u, draw) {
  const { ctx, bbox } = u;
  const { min, max } = u.scales.x;
  const { min: low, max: high } = u.scales.y;
  const ratio = devicePixelRatio;
  const place = {
    ctx, bbox, ratio, min, max,
    x: (time) => bbox.left + ((time - min) / (max - min)) * bbox.width,
    y: (value) => bbox.top + bbox.height * (1 - (value - low) / (high - low)),
  };
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw(place);
  ctx.restore();
}

/** The times without power, marks, and the end of the test. */
function drawMoments(place, { notes, events }, label) {
  const { ctx, bbox, ratio } = place;
  for (const [from, to] of powerOff(notes, events.max)) {
    ctx.fillStyle = palette.cut;
    ctx.globalAlpha = 0.13;
    ctx.fillRect(place.x(from), bbox.top, place.x(to) - place.x(from), bbox.height);
    ctx.globalAlpha = 1;
    vertical(place, from, palette.cut, [], 2);
    if (label) text(place, "power cut", place.x(from) + 5 * ratio, bbox.top + 10 * ratio, palette.cut);
  }
  notes.kind.forEach((kind, at) => {
    if (kind === "mark") vertical(place, notes.at[at], palette.muted, [4, 3], 1);
    if (kind === "event") vertical(place, notes.at[at], palette.amber, [1, 3], 1);
  });
  vertical(place, events.ended, palette.muted, [1, 2], 1);
}

function vertical({ ctx, bbox, ratio, x }, time, colour, dash, width) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width * ratio;
  ctx.setLineDash(dash.map((part) => part * ratio));
  ctx.beginPath();
  const at = Math.round(x(time)) + 0.5;
  ctx.moveTo(at, bbox.top);
  ctx.lineTo(at, bbox.top + bbox.height);
  ctx.stroke();
  ctx.setLineDash([]);
}

function text({ ctx, ratio }, words, x, y, colour, font = "system-ui, sans-serif") {
  ctx.font = `${11 * ratio}px ${font}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ctx.fillStyle = colour;
  ctx.fillText(words, x, y);
}

/** Remembers which cells of the plot have which colours, so that a million requests paint no more than there is to see. */
function newMask({ bbox, ratio }, cell) {
  const size = cell * ratio;
  const columns = Math.ceil(bbox.width / size) + 2;
  const rows = Math.ceil(bbox.height / size) + 2;
  const painted = new Uint8Array(columns * rows);
  /** Whether the cell lacks a colour, a number below 8; from now on it has it. */
  return (x, y, colour) => {
    const column = ((x - bbox.left) / size + 1) | 0;
    const row = ((y - bbox.top) / size + 1) | 0;
    if (column < 0 || column >= columns || row < 0 || row >= rows) return false;
    const at = row * columns + column;
    if (painted[at] & (1 << colour)) return false;
    painted[at] |= 1 << colour;
    return true;
  };
}

/** Calls `each(at)` with the requests that a plot has in sight. */
function inSight(requests, { min, max }, hidden, each) {
  for (let at = requests.firstFrom(min); at < requests.length; at++) {
    if (requests.from[at] > max) {
      if (requests.until[at] > max + requests.longest) break;
      continue;
    }
    if (!hidden.has(requests.op[at])) each(at);
  }
}

/** Requests by sector: as wide as they took, as high as they are large. */
function drawSectors(place, requests, hidden) {
  const { ctx, bbox, ratio } = place;
  const least = smallest(requests, place) * ratio;
  const isFree = newMask(place, cellFor(requests, place));
  const colours = OPS.map((op) => palette[op]);
  const faults = [];
  if (!hidden.has(FLUSH)) drawFlushes(place, requests, faults);
  inSight(requests, place, hidden, (at) => {
    const op = requests.op[at];
    if (op === FLUSH) return;
    const left = place.x(requests.from[at]);
    const width = Math.max(place.x(requests.until[at]) - left, least);
    const bottom = place.y(requests.sector[at]);
    const height = Math.max(bottom - place.y(requests.sector[at] + requests.count[at]), least);
    const top = bottom - height;
    if (requests.kind[at] !== FINE) faults.push(at, Math.min(left + width, bbox.left + bbox.width) - least / 2, top + height / 2);
    if (width <= 2 * least && height <= 3 * least && !isFree(left, top, op)) return;
    ctx.fillStyle = colours[op];
    const long = width > 3 * least;
    ctx.globalAlpha = long ? 0.45 : 0.9;
    ctx.fillRect(left, top, width, height);
    ctx.globalAlpha = 1;
    if (long) ctx.fillRect(left + width - least / 1.5, top, least / 1.5, height);
  });
  drawFaults(place, requests, faults);
}

/** Cells as large as what is drawn in them where there is much, smaller ones where each request should show. */
function cellFor(requests, { min, max }) {
  return requests.firstFrom(max) - requests.firstFrom(min) > 10000 ? SMALLEST : SMALLEST / 2;
}

/** A flush has no sector: a foot, and a line through all of them where there are not too many for that. */
function drawFlushes(place, requests, faults) {
  const { ctx, bbox, ratio } = place;
  const bottom = bbox.top + bbox.height;
  const columns = new Map();
  inSight(requests, place, NOT_FLUSHES, (at) => {
    const left = place.x(requests.from[at]);
    const right = Math.max(place.x(requests.until[at]), left + ratio);
    if (requests.kind[at] !== FINE) faults.push(at, right, bottom - 8 * ratio);
    columns.set(Math.round(right / ratio), [left, right]);
  });
  ctx.fillStyle = palette.flush;
  ctx.globalAlpha = 0.28;
  if (columns.size < bbox.width / ratio / 6) for (const [left, right] of columns.values()) ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.globalAlpha = 1;
  ctx.beginPath();
  for (const [, x] of columns.values()) {
    ctx.moveTo(x, bottom - 7 * ratio);
    ctx.lineTo(x - 4 * ratio, bottom);
    ctx.lineTo(x + 4 * ratio, bottom);
  }
  ctx.fill();
}

/** Requests by latency: `place.y` takes the logarithm of microseconds. */
function drawLatencies(place, requests, hidden) {
  const { ctx, ratio } = place;
  const size = smallest(requests, place) * ratio;
  const isFree = newMask(place, cellFor(requests, place));
  const colours = OPS.map((op) => palette[op]);
  const faults = [];
  inSight(requests, place, hidden, (at) => {
    const op = requests.op[at];
    const x = place.x(requests.until[at]);
    const y = place.y(logLatency(requests.latency(at)));
    if (requests.kind[at] !== FINE) faults.push(at, x, y);
    if (!isFree(x, y, op)) return;
    ctx.fillStyle = colours[op];
    ctx.fillRect(x - size / 2, y - size / 2, size, size);
  });
  drawFaults(place, requests, faults);
}

function logLatency(micros) {
  return Math.log10(Math.max(micros, 1));
}

/** The signs of faults, above all else: triples of a request and its place. */
function drawFaults(place, requests, faults) {
  const many = faults.length > 600;
  const isFree = newMask(place, many ? 3 : 4);
  for (const kind of [WAITED, CHANGED, FAILED]) {
    for (let one = 0; one < faults.length; one += 3) {
      const [at, x, y] = [faults[one], faults[one + 1], faults[one + 2]];
      if (requests.kind[at] === kind && isFree(x, y, kind)) drawFault(place, kind, x, y, many ? 0.65 : 1);
    }
  }
}

function drawFault({ ctx, ratio }, kind, x, y, scale) {
  const size = (kind === WAITED ? 3.5 : 4) * ratio * scale;
  ctx.beginPath();
  if (kind === FAILED) {
    ctx.moveTo(x - size, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.moveTo(x + size, y - size);
    ctx.lineTo(x - size, y + size);
  } else if (kind === CHANGED) {
    ctx.moveTo(x, y - size * 1.2);
    ctx.lineTo(x + size * 1.2, y);
    ctx.lineTo(x, y + size * 1.2);
    ctx.lineTo(x - size * 1.2, y);
    ctx.closePath();
  } else ctx.arc(x, y, size, 0, 7);
  ctx.strokeStyle = palette.surface;
  ctx.lineWidth = 4 * ratio;
  if (scale === 1) ctx.stroke();
  ctx.strokeStyle = ctx.fillStyle = [null, palette.amber, palette.violet, palette.red][kind];
  ctx.lineWidth = (kind === FAILED ? 2 : 1.5) * ratio;
  ctx.stroke();
  if (kind === CHANGED) ctx.fill();
}

/** The calls of the test: bars with their text, in lanes from the top. */
function drawCalls(place, calls, lanes, laneHeight) {
  const { ctx, bbox, ratio } = place;
  const height = laneHeight * ratio;
  const free = new Array(lanes.count).fill(null);
  const font = "ui-monospace, monospace";
  ctx.font = `${11 * ratio}px ${font}`;
  const label = (lane, until) => {
    const { at, left, width } = free[lane];
    const inside = width > 60 * ratio;
    const from = inside ? Math.max(left, bbox.left) + 5 * ratio : left + width + 4 * ratio;
    const room = (inside ? left + width : until) - from - 3 * ratio;
    const fitting = fit(ctx, calls.text[at], room);
    if (fitting) text(place, fitting, from, bbox.top + (lane + lanes.above + 0.5) * height, inside ? palette["call-text"] : palette.muted, font);
  };
  for (let at = 0; at < calls.at.length; at++) {
    const until = calls.at[at] + calls.ms[at] / 1e3;
    if (until < place.min || calls.at[at] > place.max) continue;
    const lane = lanes.of[at];
    const left = place.x(calls.at[at]);
    const width = Math.max(place.x(until) - left, 2 * ratio);
    if (free[lane]) label(lane, left);
    ctx.fillStyle = hasFailed(calls.text[at]) ? palette["call-failed"] : palette.call;
    ctx.fillRect(left, bbox.top + (lane + lanes.above) * height + ratio, Math.max(width - ratio, ratio), height - 2 * ratio);
    free[lane] = { at, left, width };
  }
  free.forEach((last, lane) => last && label(lane, bbox.left + bbox.width));
}

/** The texts of marks, in a lane above the calls. */
function drawMarkTexts(place, marks, laneHeight) {
  const { ctx, bbox, ratio } = place;
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  marks.at.forEach((time, at) => {
    const left = place.x(time);
    const next = at + 1 < marks.at.length ? place.x(marks.at[at + 1]) : bbox.left + bbox.width;
    const fitting = left < bbox.left - 1 ? "" : fit(ctx, marks.text[at], next - left - 8 * ratio, ctx.measureText("n").width);
    vertical(place, time, palette.muted, [4, 3], 1);
    if (fitting) text(place, fitting, left + 5 * ratio, bbox.top + (laneHeight / 2) * ratio, palette.violet);
  });
}

/** As much of a text as there is room for; nothing if that says nothing. */
function fit(ctx, words, room, each = ctx.measureText("m").width) {
  const most = Math.floor(room / each);
  return words.length <= most ? words : most < 7 ? "" : `${words.slice(0, most - 1)}…`;
}

/** Puts calls that overlap into lanes of their own, up to a few. */
function lanesOf(calls, most = 5) {
  const ends = [];
  const of = Array.from(calls.at, (from, at) => {
    let lane = ends.findIndex((end) => end <= from);
    if (lane < 0) lane = ends.length < most ? ends.length : most - 1;
    ends[lane] = from + calls.ms[at] / 1e3;
    return lane;
  });
  return { of, count: Math.max(ends.length, 1), above: 0 };
}
