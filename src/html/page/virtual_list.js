// A list of any length, of which only the rows in sight are elements.

class VirtualList {
  /**
   * `host` scrolls. `row(item, at)` makes the element of a row. `heightOf(item)` is in pixels; rows of one height
   * need no table of places.
   */
  constructor(host, { row, heightOf, height }) {
    this.host = host;
    this.makeRow = row;
    this.heightOf = heightOf;
    this.height = height;
    this.items = [];
    this.rows = new Map();
    this.space = el("div", { class: "space", role: "presentation" });
    host.append(this.space);
    host.addEventListener("scroll", oncePerFrame(() => this.show()), { passive: true });
    new ResizeObserver(() => this.show()).observe(host);
  }

  /** Shows other items. */
  set(items) {
    this.items = items;
    if (this.heightOf) {
      this.tops = new Float64Array(items.length + 1);
      for (let at = 0; at < items.length; at++) this.tops[at + 1] = this.tops[at] + this.heightOf(items[at]);
    }
    this.space.style.height = `${this.top(items.length)}px`;
    this.again();
  }

  top(at) {
    return this.heightOf ? this.tops[at] : at * this.height;
  }

  /** The row at a place. */
  at(y) {
    if (!this.heightOf) return Math.floor(y / this.height);
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Makes the rows in sight anew. */
  again() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.show();
  }

  show() {
    const { scrollTop, clientHeight } = this.host;
    if (clientHeight === 0) return;
    const first = Math.max(0, this.at(scrollTop) - 4);
    const end = Math.min(this.items.length, this.at(scrollTop + clientHeight) + 5);
    for (const [at, row] of this.rows) {
      if (at < first || at >= end) {
        row.remove();
        this.rows.delete(at);
      }
    }
    const fresh = document.createDocumentFragment();
    for (let at = first; at < end; at++) {
      if (this.rows.has(at)) continue;
      const row = this.makeRow(this.items[at], at);
      row.style.transform = `translateY(${this.top(at)}px)`;
      row.setAttribute("aria-posinset", at + 1);
      row.setAttribute("aria-setsize", this.items.length);
      this.rows.set(at, row);
      fresh.append(row);
    }
    this.space.append(fresh);
  }

  /** Scrolls as little as shows the row; to the middle if `middle`. */
  reveal(at, middle) {
    const { scrollTop, clientHeight } = this.host;
    const [top, bottom] = [this.top(at), this.top(at + 1)];
    if (middle) this.host.scrollTop = (top + bottom - clientHeight) / 2;
    else if (top < scrollTop) this.host.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.host.scrollTop = bottom - clientHeight;
    this.show();
  }
}
