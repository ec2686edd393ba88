// Numbers and times as people read them.

const VERDICTS = ["failed", "not_run", "flaky", "passed", "skipped"];
const VERDICT_WORDS = { failed: "failed", not_run: "not run", flaky: "flaky", passed: "passed", skipped: "skipped" };

const grouped = new Intl.NumberFormat("en", { useGrouping: true });

/** 12,345 */
function count(number) {
  return grouped.format(number);
}

/** `1 test`, `12 tests` */
function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** How long something took, in seconds. */
function duration(seconds) {
  if (seconds < 0.001) return `${trimmed(seconds * 1e6, 0)} µs`;
  if (seconds < 1) return `${trimmed(seconds * 1e3, seconds < 0.1 ? 1 : 0)} ms`;
  if (seconds < 60) return `${trimmed(seconds, seconds < 10 ? 2 : 1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function trimmed(number, digits) {
  return String(Number(number.toFixed(digits)));
}

/** A moment in a test, in seconds since it began. */
function moment(seconds) {
  return seconds.toFixed(seconds < 100 ? 4 : 3);
}

/** Bytes: 512 B, 16 MiB. */
function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${trimmed(number, number < 10 ? 2 : number < 100 ? 1 : 0)} ${units[unit]}`;
}

/** A number of an axis, short: 2048, 16k, 1.5M. */
function short(number) {
  if (number < 10000) return String(number);
  if (number < 1e6) return `${trimmed(number / 1e3, 1)}k`;
  if (number < 1e9) return `${trimmed(number / 1e6, 2)}M`;
  return `${trimmed(number / 1e9, 2)}G`;
}

const dates = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const clocks = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
