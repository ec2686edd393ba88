"""What `bench` makes of its samples: a table of medians, ratios between ways, and JSON.

Samples and medians are by (storage, client, workload, way): requests a second, CPU seconds a million requests.
"""

import json
import os

from bench_stages import STATES
from bench_workloads import CLIENTS, RATIOS


def middle(values):
    """The median; of an even number of values the lower one."""
    return sorted(values)[(len(values) - 1) // 2]


def print_table(medians, ways, rounds):
    print(f"\nrequests a second, medians of {rounds} (CPU seconds of client and server for a million requests)")
    print(f"{'':24}" + "".join(f" {way:>15}" for way in ways))
    rows = dict.fromkeys((storage, client, name) for storage, client, name, _ in medians)
    for storage, client, name in rows:
        cells = [medians.get((storage, client, name, way)) for way in ways]
        texts = [f"{cell[0]:.0f} ({cell[1]:.0f})" if cell else "-" for cell in cells]
        print(f"{storage:5} {name:18}" + "".join(f" {text:>15}" for text in texts))


def print_ratios(samples):
    """Compares round by round, since what slows a round slows both sides. Whether no ratio is far below."""
    print("\nratios on the RAM-backed image, the median of those of each round (should be at least)")
    rates = {
        f"{name} {way}": [rate for rate, _ in list_]
        for (storage, _, name, way), list_ in samples.items()
        if storage == "ram"
    }
    is_well = True
    for one, other, least, demanded in RATIOS:
        if one not in rates or other not in rates:
            continue
        ratio = middle([a / b for a, b in zip(rates[one], rates[other], strict=True)])
        verdict = "" if ratio >= least else "  below" if ratio >= demanded else "  FAR BELOW"
        is_well = is_well and ratio >= demanded
        name, (other_name, other_way) = one.split()[0], other.split(maxsplit=1)
        shown = other_way if name == other_name else other_name
        print(f"{one:31} / {shown:13} {ratio:6.2f}  ({least:.2f}){verdict}")
    return is_well


def print_layers(samples):
    """What each state of a disk costs, as a table of Markdown: the medians of the ratios of each round."""
    names = ("read-4k-d1", "read-4k-d16", "write-4k-d1", "write-4k-d16")
    print("\n| beside a disk without | reads, depth 1 | reads, depth 16 | writes, depth 1 | writes, depth 16 |")
    print("|---|---|---|---|---|")
    for way in STATES:
        cells = []
        for name in names:
            rates = [samples.get(("ram", "cache", "cache-" + name, one), []) for one in (way, "provium")]
            ratios = [rate / without for (rate, _), (without, _) in zip(*rates, strict=False)]
            cells.append(f"{middle(ratios):.2f}" if ratios else "")
        print(f"| {way} | " + " | ".join(cells) + " |")


def write_json(medians, path):
    lines = []
    for (storage, client, name, way), (rate, cpu) in medians.items():
        entry = {"storage": storage, "client": CLIENTS[client], "workload": name, "way": way}
        entry |= {"requests_per_second": round(rate, 1), "cpu_seconds_per_million": round(cpu, 2)}
        lines.append("  " + json.dumps(entry, separators=(",", ":")))
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")
