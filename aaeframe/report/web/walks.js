/* Walks: paths of codes that are decoded step by step. */

const STOPS = 12;
const FILM = 9;

/** The codes from one pinned code to the other. */
function walkBetween(state, first, second) {
  return [
    { code: first.code, label: first.label },
    { code: second.code, label: second.label },
  ];
}

/** Codes along a curve of a prior; other blocks stay as they are. */
function walkAlong(state, path) {
  const size = state.sizes[path.block];
  const found = [];
  for (let start = 0; start < path.codes.length; start += size) {
    found.push({ code: { ...state.code, [path.block]: path.codes.subarray(start, start + size) }, label: state.label });
  }
  return found;
}

/** Rows of a class from one end of its longest axis to the other. */
function walkThrough(state, color, value) {
  const rows = [];
  color.values.forEach((it, row) => it === value && rows.push(row));
  if (rows.length < 2) return null;
  const places = rows.map((row) => [...state.part(state.map.key, row)]);
  const along = principal(places);
  const order = rows.map((row, k) => [along(places[k]), row]).sort((a, b) => a[0] - b[0]);
  const stops = Math.min(STOPS, order.length);
  return Array.from({ length: stops }, (_, k) => {
    const row = order[Math.round((k * (order.length - 1)) / (stops - 1))][1];
    return { code: state.codeOfRow(row), label: state.labelOfRow(row) };
  });
}

/** The coordinate along the axis of greatest variance, as a function of a code. */
function principal(codes) {
  const size = codes[0].length;
  const mean = codes[0].map((_, k) => codes.reduce((sum, z) => sum + z[k], 0) / codes.length);
  let axis = mean.map((_, k) => 1 + 0.1 * k);
  const along = (z) => axis.reduce((sum, weight, k) => sum + weight * (z[k] - mean[k]), 0);
  for (let turn = 0; turn < 12; turn++) {
    const next = new Array(size).fill(0);
    for (const z of codes) {
      const share = along(z);
      for (let k = 0; k < size; k++) next[k] += share * (z[k] - mean[k]);
    }
    const length = Math.hypot(...next) || 1;
    axis = next.map((value) => value / length);
  }
  return along;
}

/** The player of a walk: a position, a strip of decoded rows, and a button that moves on its own. */
class Walker {
  constructor(state, scatter) {
    Object.assign(this, { state, scatter, stops: null, playing: 0 });
    this.title = element("p", { class: "hint", hidden: true });
    this.position = element("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.002,
      value: 0,
      "aria-label": "Position on the walk",
      oninput: () => {
        this.stop();
        this.goTo(Number(this.position.value));
      },
    });
    this.play = button("Play", () => (this.playing ? this.stop() : this.start()));
    this.end = button("End the walk", () => this.clear(), { class: "quiet" });
    this.film = element("div", { class: "film", "aria-hidden": "true" });
    this.player = element("div", { class: "player", hidden: true }, this.play, this.position, this.end);
    this.element = element("div", { class: "walker" }, this.title, this.player, this.film);
  }

  /** Take a walk: places in the plane, and lengths between them by which the position is shared. */
  take(title, stops) {
    this.stop();
    this.stops = stops;
    const places = stops.map(({ code }) => this.state.placeOf(code));
    this.lengths = [0];
    for (let k = 1; k < places.length; k++) {
      const step = Math.hypot(places[k][0] - places[k - 1][0], places[k][1] - places[k - 1][1]);
      this.lengths.push(this.lengths[k - 1] + Math.max(step, 1e-9));
    }
    this.title.textContent = title;
    this.title.hidden = false;
    this.player.hidden = false;
    this.scatter.path = places;
    this.position.value = 0;
    this.fillFilm();
    this.goTo(0);
    this.scatter.element.scrollIntoView({ block: "nearest", behavior: isCalm() ? "auto" : "smooth" });
    announce(`${title}. Play, or move the position.`);
    if (!isCalm()) this.start();
  }

  /** The code at a share of the walk, between its neighbors. */
  at(share) {
    const goal = share * this.lengths[this.lengths.length - 1];
    let k = this.lengths.findIndex((it) => it >= goal);
    k = clamp(k, 1, this.stops.length - 1);
    const part = (goal - this.lengths[k - 1]) / (this.lengths[k] - this.lengths[k - 1]);
    const [from, to] = [this.stops[k - 1], this.stops[k]];
    const code = {};
    for (const [name, z] of Object.entries(from.code)) {
      code[name] = Float32Array.from(z, (value, d) => value + part * (to.code[name][d] - value));
    }
    return { code, label: part < 0.5 ? from.label : to.label };
  }

  goTo(share) {
    const { code, label } = this.at(share);
    this.state.setCode(code, label);
    this.scatter.lookAt(this.state.placeOf(code));
  }

  start() {
    const began = performance.now() - 1000 * 9 * (this.position.value < 0.999 ? this.position.value : 0);
    this.play.textContent = "Pause";
    const step = () => {
      const share = Math.min(1, (performance.now() - began) / 9000);
      this.position.value = share;
      this.goTo(share);
      if (share < 1) this.playing = requestAnimationFrame(step);
      else this.stop();
    };
    this.playing = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.play.textContent = "Play";
  }

  clear() {
    this.stop();
    this.stops = null;
    this.scatter.path = null;
    this.scatter.redrawOverlay();
    this.player.hidden = true;
    this.film.replaceChildren();
    this.title.hidden = true;
  }

  /** Decoded rows at even steps, for a look at the whole walk at once; images only. */
  fillFilm() {
    this.film.replaceChildren();
    if (this.state.look.kind !== "image") return;
    for (let k = 0; k < FILM; k++) {
      const { code, label } = this.at(k / (FILM - 1));
      const canvas = element("canvas", { class: "picture" });
      const row = this.state.decode(code, label);
      paint(canvas, row, imageShape(row, this.state.look, this.state.originals));
      this.film.append(canvas);
    }
  }
}

/** Buttons of all walks that a run has. */
function walkButtons(state, walker, pins) {
  const chips = state.paths
    .filter((path) => state.decoder.exact || path.block === state.map.key)
    .map((path) =>
      button(path.label, () => walker.take(`Walk ${path.label}`, walkAlong(state, path)), { class: "chip" }),
    );
  const between = button("between the last two pins", () => {
    const [first, second] = pins.pinned.slice(-2);
    walker.take("Walk between two pins", walkBetween(state, first, second));
  });
  between.className = "chip";
  pins.listen(() => {
    between.disabled = pins.pinned.length < 2;
  });
  chips.push(between);
  const parts = [group("walks", element("div", { class: "chips" }, ...chips))];
  for (const color of state.colors.filter((it) => it.type === "class" && it.names.length <= 64)) {
    const buttons = color.names.map((name, k) => {
      const stops = walkThrough(state, color, k);
      const take = () => walker.take(`Walk through ${color.name} ${name}`, walkThrough(state, color, k));
      return button(name, take, { class: "chip", disabled: stops === null });
    });
    parts.push(group(`walks through each ${color.name}`, element("div", { class: "chips" }, ...buttons)));
  }
  return parts;
}
