/* The plane: points, decoded tiles, and what a pointer or a key does in it. */

const TILE = 44;
const NEAR = 10;

class Scatter {
  /** A plane inside an element. `on` has the actions move(place, row), pick(place, row) and leave(). */
  constructor(on) {
    this.on = on;
    this.base = element("canvas", { "aria-hidden": "true" });
    this.overlay = element("canvas", {
      tabIndex: 0,
      role: "application",
      "aria-roledescription": "latent plane",
      "aria-describedby": "plane-help",
    });
    this.element = element("div", { class: "plane" }, this.base, this.overlay);
    this.points = new Float32Array(0);
    this.prior = new Float32Array(0);
    this.marks = [];
    this.path = null;
    this.tiles = null;
    this.pointers = new Map();
    this.redraw = eachFrame(() => this.draw());
    this.redrawOverlay = eachFrame(() => this.drawOverlay());
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  /** Set what is drawn: places and colors of points, places of prior samples. */
  setPoints(points, prior) {
    Object.assign(this, { points, prior });
  }

  /** Set a color for each point, and the points that stand out, by a function of their number. */
  setColors(colors, stands = null) {
    Object.assign(this, { colors, stands });
    this.redraw();
  }

  /** Show a rectangle of the plane, given by its corners. */
  fit(low, high) {
    this.home = [low, high];
    const [width, height] = this.size();
    this.center = [0, 1].map((k) => (low[k] + high[k]) / 2);
    this.scale = 0.88 * Math.min(width / (high[0] - low[0]), height / (high[1] - low[1]));
    this.redraw();
  }

  size() {
    return [this.element.clientWidth || 1, this.element.clientHeight || 1];
  }

  resize() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [width, height] = this.size();
    const before = this.width;
    Object.assign(this, { ratio, width });
    for (const canvas of [this.base, this.overlay]) {
      Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    }
    if (before && this.home) this.scale *= width / before;
    else if (this.home) this.fit(...this.home);
    this.draw();
  }

  toScreen([x, y]) {
    const [width, height] = this.size();
    return [width / 2 + (x - this.center[0]) * this.scale, height / 2 - (y - this.center[1]) * this.scale];
  }

  toPlane([left, top]) {
    const [width, height] = this.size();
    return [this.center[0] + (left - width / 2) / this.scale, this.center[1] - (top - height / 2) / this.scale];
  }

  /** The nearest point to a place on the screen, or null if none is near. */
  nearest([left, top], reach = NEAR) {
    const [x, y] = this.toPlane([left, top]);
    let best = null;
    let least = (reach / this.scale) ** 2;
    for (let k = 0; k < this.points.length; k += 2) {
      const away = (this.points[k] - x) ** 2 + (this.points[k + 1] - y) ** 2;
      if (away < least && (!this.stands || this.stands(k / 2))) [best, least] = [k / 2, away];
    }
    return best;
  }

  zoom(factor, [left, top] = this.size().map((it) => it / 2)) {
    const before = this.toPlane([left, top]);
    this.scale *= factor;
    const after = this.toPlane([left, top]);
    this.center = this.center.map((value, k) => value + before[k] - after[k]);
    this.redraw();
  }

  pan(dx, dy) {
    this.center = [this.center[0] - dx / this.scale, this.center[1] + dy / this.scale];
    this.redraw();
  }

  /** Draw all points into one picture; the time for it in milliseconds is kept. */
  draw() {
    if (!this.home || !this.background || !this.width) return;
    const began = performance.now();
    const { width, height } = this.base;
    const context = this.base.getContext("2d");
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      this.image = context.createImageData(width, height);
    }
    const [red, green, blue] = this.background;
    new Uint32Array(this.image.data.buffer).fill(((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0);
    if (!this.tiles) {
      const many = this.points.length / 2;
      const grown = clamp((this.scale / this.fitted()) ** 0.35, 0.8, 2.5);
      const radius = clamp(Math.sqrt(14000 / Math.max(1, many)), 1.1, 4.5) * grown * this.ratio;
      this.stamp(this.prior, clamp(0.8 * radius, 1, 4), () => this.muted, 0.35);
      if (this.stands) this.stamp(this.points, 0.8 * radius, (k) => (this.stands(k) ? null : this.muted), 0.5);
      this.stamp(this.points, radius, (k) => (!this.stands || this.stands(k) ? this.colors[k] : null), 0.85);
    }
    context.putImageData(this.image, 0, 0);
    if (this.tiles) this.drawTiles(context);
    this.drawOverlay();
    this.milliseconds = performance.now() - began;
  }

  /** The scale of the first view. */
  fitted() {
    const [width, height] = this.size();
    const [low, high] = this.home;
    return 0.88 * Math.min(width / (high[0] - low[0]), height / (high[1] - low[1]));
  }

  /** Blend a soft disk into the picture at each place whose color is not null. */
  stamp(places, radius, colorOf, opacity) {
    const { width, height, data } = this.image;
    const reach = Math.ceil(radius + 0.5);
    const disk = [];
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const cover = clamp(radius + 0.5 - Math.hypot(dx, dy), 0, 1);
        if (cover > 0) disk.push([4 * (dy * width + dx), cover * opacity]);
      }
    }
    const offsets = Int32Array.from(disk, (it) => it[0]);
    const covers = Float32Array.from(disk, (it) => it[1]);
    const scale = this.scale * this.ratio;
    const [left, top] = [width / 2 - this.center[0] * scale, height / 2 + this.center[1] * scale];
    for (let k = 0; k < places.length; k += 2) {
      const x = Math.round(left + places[k] * scale);
      const y = Math.round(top - places[k + 1] * scale);
      if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
      const color = colorOf(k / 2);
      if (!color) continue;
      const start = 4 * (y * width + x);
      for (let part = 0; part < offsets.length; part++) {
        const at = start + offsets[part];
        const share = covers[part];
        data[at] += share * (color[0] - data[at]);
        data[at + 1] += share * (color[1] - data[at + 1]);
        data[at + 2] += share * (color[2] - data[at + 2]);
      }
    }
  }

  /** Draw decoded rows side by side. Those that are missing are decoded over the next frames. */
  drawTiles(context) {
    const step = 2 ** Math.round(Math.log2(TILE / this.scale));
    const size = step * this.scale * this.ratio;
    const [width, height] = this.size();
    const [left, top] = this.toPlane([0, 0]).map((it) => Math.floor(it / step));
    const [right, bottom] = this.toPlane([width, height]).map((it) => Math.ceil(it / step));
    const began = performance.now();
    let missing = false;
    context.imageSmoothingEnabled = false;
    for (let j = top + 1; j >= bottom - 1; j--) {
      for (let i = left - 1; i <= right; i++) {
        const place = [(i + 0.5) * step, (j + 0.5) * step];
        const key = `${step} ${i} ${j}`;
        let tile = this.tiles.get(key);
        if (!tile && performance.now() - began < 12) {
          tile = this.on.tile(place);
          this.tiles.set(key, tile);
        }
        missing ||= !tile;
        if (!tile) continue;
        const [x, y] = this.toScreen(place).map((it) => it * this.ratio);
        const fit = (size - this.ratio) / Math.max(tile.width, tile.height);
        const [across, down] = [tile.width * fit, tile.height * fit];
        context.drawImage(tile, x - across / 2, y - down / 2, across, down);
      }
    }
    if (missing) this.redraw();
  }

  /** Draw path, pins, the hovered row and the cursor over the points. */
  drawOverlay() {
    if (!this.home || !this.ink || !this.width) return;
    const context = this.overlay.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, ...this.size());
    const [ink, paper] = [css(this.ink), css(this.background)];
    const line = (width, color) => Object.assign(context, { lineWidth: width, strokeStyle: color });
    if (this.path) {
      context.beginPath();
      for (const place of this.path) context.lineTo(...this.toScreen(place));
      context.lineJoin = "round";
      for (const style of [
        [5, paper],
        [2, ink],
      ]) {
        line(...style);
        context.stroke();
      }
    }
    const ring = (place, radius, text) => {
      const [x, y] = this.toScreen(place);
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      for (const style of [
        [4, paper],
        [2, ink],
      ]) {
        line(...style);
        context.stroke();
      }
      if (text === undefined) return;
      context.fillStyle = paper;
      context.fill();
      Object.assign(context, { fillStyle: ink, font: "600 11px system-ui", textAlign: "center" });
      context.textBaseline = "middle";
      context.fillText(text, x, y + 0.5);
    };
    this.marks.forEach((place, k) => ring(place, 9, String(k + 1)));
    if (this.hovered !== undefined && this.hovered !== null) {
      ring([this.points[2 * this.hovered], this.points[2 * this.hovered + 1]], 7);
    }
    if (!this.cursor) return;
    ring(this.cursor, 4);
    const [x, y] = this.toScreen(this.cursor);
    context.beginPath();
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ]) {
      context.moveTo(x + 8 * dx, y + 8 * dy);
      context.lineTo(x + 15 * dx, y + 15 * dy);
    }
    for (const style of [
      [4, paper],
      [1.5, ink],
    ]) {
      line(...style);
      context.stroke();
    }
  }

  /** The place of a pointer within the plane, in pixels. */
  where(event) {
    const box = this.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  explore(at, reach) {
    this.hovered = this.nearest(at, reach);
    this.cursor = this.toPlane(at);
    this.on.move(this.cursor, this.hovered);
    this.redrawOverlay();
  }

  listen() {
    const { overlay } = this;
    overlay.addEventListener("pointerdown", (event) => {
      overlay.setPointerCapture(event.pointerId);
      const at = this.where(event);
      this.pointers.set(event.pointerId, at);
      this.pressed = { at, moved: this.pointers.size > 1 };
      if (event.pointerType !== "mouse" && this.pointers.size === 1) this.explore(at, 2 * NEAR);
    });
    overlay.addEventListener("pointermove", (event) => this.pointerMoved(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      overlay.addEventListener(kind, (event) => {
        const at = this.where(event);
        const clicked = kind === "pointerup" && this.pressed && !this.pressed.moved;
        this.pointers.delete(event.pointerId);
        if (clicked && event.button <= 0) this.on.pick(this.toPlane(at), this.nearest(at));
        if (!this.pointers.size) this.pressed = null;
      });
    }
    overlay.addEventListener("pointerleave", () => {
      this.hovered = null;
      this.redrawOverlay();
      this.on.leave();
    });
    overlay.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && document.activeElement !== overlay) return;
        event.preventDefault();
        this.zoom(Math.exp(-clamp(event.deltaY, -80, 80) * (event.ctrlKey ? 0.01 : 0.003)), this.where(event));
      },
      { passive: false },
    );
    overlay.addEventListener("keydown", (event) => this.keyPressed(event));
  }

  pointerMoved(event) {
    const at = this.where(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.explore(at);
      return;
    }
    if (Math.hypot(at[0] - this.pressed.at[0], at[1] - this.pressed.at[1]) > 4) this.pressed.moved = true;
    if (this.pointers.size === 2) this.pinch(event.pointerId, at);
    else if (event.pointerType !== "mouse") this.explore(at, 2 * NEAR);
    else if (this.pressed.moved) this.pan(at[0] - before[0], at[1] - before[1]);
    this.pointers.set(event.pointerId, at);
  }

  /** Two fingers: their middle moves the plane, their distance zooms it. */
  pinch(moving, at) {
    const before = [...this.pointers.values()];
    const after = [...this.pointers].map(([id, place]) => (id === moving ? at : place));
    const middle = (pair) => [0, 1].map((k) => (pair[0][k] + pair[1][k]) / 2);
    const apart = (pair) => Math.max(1, Math.hypot(pair[0][0] - pair[1][0], pair[0][1] - pair[1][1]));
    const [from, to] = [middle(before), middle(after)];
    this.pan(to[0] - from[0], to[1] - from[1]);
    this.zoom(apart(after) / apart(before), to);
  }

  keyPressed(event) {
    const step = event.shiftKey ? 48 : 12;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const actions = {
      "+": () => this.zoom(1.3),
      "=": () => this.zoom(1.3),
      "-": () => this.zoom(1 / 1.3),
      0: () => this.fit(...this.home),
      Enter: () => this.on.pick(this.cursor ?? this.center, this.hovered ?? null),
      " ": () => this.on.pick(this.cursor ?? this.center, this.hovered ?? null),
      n: () => this.on.step(1),
      p: () => this.on.step(-1),
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrows[event.key]) this.nudge(arrows[event.key].map((it) => it * step));
    else if (actions[event.key]) actions[event.key]();
    else return;
    event.preventDefault();
  }

  /** Move the cursor by pixels; the view follows it. */
  nudge([dx, dy]) {
    const [width, height] = this.size();
    const [left, top] = this.toScreen(this.cursor ?? this.center);
    const at = [left + dx, top + dy];
    const inside = [clamp(at[0], 20, width - 20), clamp(at[1], 20, height - 20)];
    if (inside[0] !== at[0] || inside[1] !== at[1]) this.pan(inside[0] - at[0], inside[1] - at[1]);
    this.explore(inside);
  }

  /** Move the cursor to a place, and the view with it if the place is outside. */
  lookAt(place, row = null) {
    const [width, height] = this.size();
    const [left, top] = this.toScreen(place);
    if (left < 0 || top < 0 || left > width || top > height) {
      this.center = [...place];
      this.redraw();
    }
    Object.assign(this, { cursor: place, hovered: row });
    this.redrawOverlay();
  }
}
