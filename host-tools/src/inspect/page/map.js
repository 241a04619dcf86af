/** A heat map on a canvas: labels on both axes, hover, pin, keys. */
class HeatMap {
  /**
   * what: rows, cols, colour(r, c) -> [r, g, b] or null, rowLabel(r), colLabel(c), describe(r, c) -> nodes, name;
   * cell: [min, max] pixels; square; gaps: columns with a gap before them; text(r, c): shown if it fits;
   * onHover(r, c), onPin(r, c) (without arguments: unpinned); mark: initially pinned cell.
   */
  constructor(host, what) {
    this.what = { cell: [8, 34], gaps: [], ...what };
    this.cursor = null;
    this.pinned = what.mark || null;
    this.base = el("canvas");
    this.over = el("canvas", { class: "over", tabindex: "0", role: "img", "aria-label": what.name });
    this.box = el("div", { class: "map" }, this.base, this.over);
    this.scroll = el("div", { class: "scroll" }, this.box);
    host.append(this.scroll);
    this.over.addEventListener("pointermove", (event) => this.move(event));
    this.over.addEventListener("pointerdown", (event) => this.move(event));
    this.over.addEventListener("pointerleave", () => this.leave());
    this.over.addEventListener("click", () => this.pin());
    this.over.addEventListener("keydown", (event) => this.key(event));
    this.over.addEventListener("blur", () => this.leave());
    resized(this.scroll, () => this.draw());
    themed(() => this.draw());
  }

  /** Layout: labels first, then the cells in the remaining space. */
  layout(pen) {
    const { rows, cols, rowLabel, colLabel, cell, gaps } = this.what;
    this.width = this.scroll.clientWidth;
    pen.font = "12px " + variable("--mono");
    const widest = (length, label, most) => {
      let width = 0;
      for (let i = 0; i < length; i++) width = Math.max(width, pen.measureText(label(i)).width);
      return Math.min(width, most);
    };
    const narrow = this.width < 480;
    this.left = Math.ceil(widest(rows, rowLabel, narrow ? 64 : 108)) + 10;
    this.gap = 12;
    const space = this.width - this.left - gaps.length * this.gap - 2;
    this.w = clamp(space / cols, cell[0], cell[1]);
    // Labels wider than their column are rotated; if many are, all are.
    const wide = Array.from({ length: cols }, (_, c) => pen.measureText(colLabel(c)).width > this.w - 2);
    const many = wide.filter(Boolean).length > cols / 4;
    this.turned = (c) => many || wide[c];
    this.top = Math.max(20, Math.ceil(widest(cols, (c) => this.turned(c) ? colLabel(c) : "", narrow ? 76 : this.what.labels || 96)) + 10);
    this.h = this.what.square ? this.w : this.what.height || clamp(this.w, 14, 34);
    const size = [this.left + this.w * cols + gaps.length * this.gap + 2, this.top + this.h * rows + 2];
    const dense = devicePixelRatio || 1;
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(size[0] * dense);
      canvas.height = Math.round(size[1] * dense);
      canvas.style.width = size[0] + "px";
      canvas.style.height = size[1] + "px";
      canvas.getContext("2d").setTransform(dense, 0, 0, dense, 0, 0);
    }
    this.box.style.width = size[0] + "px";
    this.size = size;
  }

  x(c) { return Math.round(this.left + c * this.w) + this.gap * this.what.gaps.filter((at) => c >= at).length; }

  y(r) { return Math.round(this.top + r * this.h); }

  /** Left, top, width and height of a cell, in whole pixels. */
  rect(r, c) {
    const gap = this.what.gaps.includes(c + 1) ? this.gap : 0;
    return [this.x(c), this.y(r), this.x(c + 1) - this.x(c) - gap, this.y(r + 1) - this.y(r)];
  }

  draw() {
    const pen = this.base.getContext("2d");
    if (!this.scroll.clientWidth) return;
    this.layout(pen);
    const { rows, cols, colour, rowLabel, colLabel, text } = this.what;
    const line = this.w > 10 && this.h > 10 ? 1 : 0;
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        const shade = colour(r, c);
        if (!shade) continue;
        const [x, y, w, h] = this.rect(r, c);
        pen.fillStyle = css(shade);
        pen.fillRect(x, y, w - line, h - line);
        if (text && this.w >= 34) {
          pen.fillStyle = inkOn(shade);
          pen.font = "11px " + variable("--sans");
          pen.textAlign = "center";
          pen.textBaseline = "middle";
          pen.fillText(text(r, c), x + this.w / 2, y + this.h / 2 + 0.5);
        }
      }
    }
    pen.fillStyle = variable("--soft");
    pen.font = "12px " + variable("--mono");
    pen.textBaseline = "middle";
    const every = (size) => Math.max(1, Math.ceil(13 / size));
    pen.textAlign = "right";
    for (let r = 0; r < rows; r += every(this.h)) this.label(pen, rowLabel(r), this.left - 7, this.top + (r + 0.5) * this.h, this.left - 9, 0);
    const { keep } = this.what, sparse = every(this.w);
    for (let c = 0; c < cols; c++) {
      if (keep ? !keep(c) && (c % sparse || keep(c - 1) || keep(c + 1)) : c % sparse) continue;
      const x = this.x(c) + this.w / 2;
      if (this.turned(c)) {
        pen.textAlign = "left";
        this.label(pen, colLabel(c), x, this.top - 6, this.top - 8, -Math.PI / 2);
      } else {
        pen.textAlign = "center";
        this.label(pen, colLabel(c), x, this.top - 10, 60, 0);
      }
    }
    this.outline();
  }

  /** Draws text truncated to `most` pixels. */
  label(pen, text, x, y, most, turn) {
    let cut = text;
    while (cut.length > 1 && pen.measureText(cut).width > most) cut = [...cut].slice(0, -2).join("") + "…";
    pen.save();
    pen.translate(x, y);
    pen.rotate(turn);
    pen.fillText(cut, 0, 0);
    pen.restore();
  }

  /** The cursor's row and column, and the pinned cell. */
  outline() {
    const pen = this.over.getContext("2d");
    pen.clearRect(0, 0, ...this.size);
    const { rows, cols } = this.what;
    const ink = variable("--ink");
    if (this.cursor) {
      const [r, c] = this.cursor;
      pen.strokeStyle = ink;
      pen.globalAlpha = 0.4;
      pen.lineWidth = 1;
      const [x, y, w, h] = this.rect(r, c);
      pen.strokeRect(this.x(0) - 0.5, y - 0.5, this.x(cols) - this.x(0), h);
      pen.strokeRect(x - 0.5, this.top - 0.5, w, this.y(rows) - this.top);
      pen.globalAlpha = 1;
      this.ring(pen, r, c, ink, 1.5);
    }
    if (this.pinned) {
      const [r, c] = this.pinned;
      if (this.what.pinRow) {
        pen.strokeStyle = variable("--accent");
        pen.lineWidth = 2;
        const [, y, , h] = this.rect(r, c);
        pen.strokeRect(this.x(0) - 1, y - 1, this.x(cols) - this.x(0) + 1, h + 1);
      } else {
        this.ring(pen, r, c, variable("--accent"), 2.5);
      }
    }
  }

  ring(pen, r, c, colour, width) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    const [x, y, w, h] = this.rect(r, c);
    pen.strokeRect(x - 0.5, y - 0.5, w, h);
  }

  cellAt(event) {
    const r = Math.floor((event.offsetY - this.top) / this.h), x = event.offsetX;
    if (r < 0 || r >= this.what.rows) return null;
    for (let c = 0; c < this.what.cols; c++) if (x >= this.x(c) && x < this.x(c + 1)) return [r, c];
    return null;
  }

  move(event) {
    const cell = this.cellAt(event);
    if (!cell) return this.leave();
    this.go(cell, event.clientX, event.clientY);
  }

  go([r, c], x, y) {
    this.cursor = [r, c];
    this.outline();
    const nodes = this.what.describe(r, c);
    tip.show(x, y, nodes);
    if (this.what.onHover) this.what.onHover(r, c);
    return nodes;
  }

  leave() {
    if (!this.cursor) return;
    this.cursor = null;
    this.outline();
    tip.hide();
    if (this.what.onHover) this.what.onHover();
  }

  pin() {
    if (!this.cursor) return;
    this.pinned = this.cursor;
    this.outline();
    if (this.what.onPin) this.what.onPin(...this.pinned);
  }

  /** Shows a cell as pinned, as if it had been chosen. */
  mark(cell) {
    this.pinned = cell;
    if (this.size) this.outline();
  }

  key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") this.pin();
    else if (event.key === "Escape") this.leave();
    else if (step) {
      const from = this.cursor || this.pinned || [0, -1];
      const cell = [clamp(from[0] + step[0], 0, this.what.rows - 1), clamp(from[1] + step[1], 0, this.what.cols - 1)];
      const box = this.over.getBoundingClientRect();
      say(this.go(cell, box.left + this.x(cell[1]) + this.w, box.top + this.top + (cell[0] + 1) * this.h));
    } else return;
    event.preventDefault();
  }
}
