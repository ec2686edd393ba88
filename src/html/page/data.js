// The data of the page: JSON, deflated, in base64. The index says what each test is; blocks have the rest.

/** What the element `id` holds. */
async function unpack(id) {
  const text = byId(id).textContent;
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : decodeBase64(text);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function decodeBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** The run, and its tests: the last try of each, with the tries before it. */
async function readRun() {
  const index = await unpack("index");
  const text = (number) => index.strings[number];
  const tests = new Map();
  for (let at = 0; at < index.file.length; at++) {
    const one = {
      number: at,
      file: text(index.file[at]),
      line: index.line[at],
      name: text(index.name[at]),
      tags: index.tags[at].map(text),
      round: index.round[at],
      attempt: index.attempt[at],
      verdict: index.outcome[at],
      seconds: index.seconds_taken[at],
      message: text(index.message[at]),
      block: index.block[at],
      slot: index.slot[at],
    };
    const key = JSON.stringify([one.file, one.name, one.round]);
    const tries = tests.get(key);
    if (tries) tries.push(one);
    else tests.set(key, [one]);
  }
  const last = (tries) => {
    tries.sort((a, b) => a.attempt - b.attempt);
    const test = { ...tries.at(-1), tries };
    if (test.verdict === "passed" && tries.length > 1) test.verdict = "flaky";
    return test;
  };
  return { ...index, tests: [...tests.values()].map(last) };
}

/** The blocks that were unpacked last. */
const unpacked = new Map();

/** All that is known of a try. */
async function readDetail(one) {
  let block = unpacked.get(one.block);
  if (!block) {
    block = unpack(`block-${one.block}`);
    unpacked.set(one.block, block);
    if (unpacked.size > 8) unpacked.delete(unpacked.keys().next().value);
  }
  return (await block)[one.slot];
}
