/* Curves of the training by epoch, for one run or several. */

const WIDTH = 420;
const HEIGHT = 190;
const EDGE = { left: 46, right: 10, top: 10, bottom: 26 };

/** Even steps within a range, as round numbers. */
function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(value);
  return found;
}

/** The label of a tick, with as many digits as its steps need. */
function tickText(value, step) {
  const digits = clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 6);
  return Math.abs(value) >= 1e5 ? value.toExponential(0) : value.toFixed(digits).replace("-", "−");
}

/** A panel of curves with a readout that follows the pointer or the arrow keys. */
class Chart {
  constructor(panel, runs) {
    Object.assign(this, { panel, runs });
    const many = new Set(panel.series.map((it) => it.run)).size > 1;
    this.series = panel.series.map((it, k) => ({
      ...it,
      name: many ? `${runs[it.run]}: ${it.label}` : it.label,
      color: it.reference ? null : classColor(many ? it.run : k),
    }));
    this.readout = element("p", { class: "readout" });
    this.picture = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "img", class: "chart" });
    this.element = element(
      "figure",
      { class: "chart-card" },
      element("figcaption", {}, element("b", {}, panel.title), element("span", { class: "hint" }, ` ${panel.unit}`)),
      this.picture,
      this.readout,
    );
    this.range();
    this.draw();
    this.read(this.epochs.length - 1);
    this.listen();
  }

  range() {
    this.epochs = [...new Set(this.series.flatMap((it) => it.x))].sort((a, b) => a - b);
    const values = this.series.flatMap((it) => it.y.filter((y) => y !== null));
    const [low, high] = extent([...values, ...Object.values(this.panel.references)]);
    this.isLog = low > 0 && high > 30 * low;
    const pad = 0.06 * (high - low || 1);
    [this.low, this.high] = this.isLog ? [low, high] : [low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad];
  }

  x(epoch) {
    const first = this.epochs[0];
    const span = this.epochs[this.epochs.length - 1] - first || 1;
    return EDGE.left + ((epoch - first) / span) * (WIDTH - EDGE.left - EDGE.right);
  }

  y(value) {
    const scale = this.isLog ? Math.log : (it) => it;
    const share = (scale(value) - scale(this.low)) / (scale(this.high) - scale(this.low) || 1);
    return HEIGHT - EDGE.bottom - share * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  draw() {
    const marks = this.isLog ? logTicks(this.low, this.high) : ticks(this.low, this.high, 4);
    for (const value of marks) {
      const y = this.y(value);
      this.picture.append(
        drawn("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y, class: "grid" }),
        drawn(
          "text",
          { x: EDGE.left - 6, y: y + 3.5, class: "tick end" },
          tickText(value, this.isLog ? value : marks[1] - marks[0] || 1),
        ),
      );
    }
    const last = this.epochs[this.epochs.length - 1];
    for (const epoch of ticks(this.epochs[0], last, 5).filter(Number.isInteger)) {
      this.picture.append(drawn("text", { x: this.x(epoch), y: HEIGHT - 8, class: "tick middle" }, String(epoch)));
    }
    for (const [name, value] of Object.entries(this.panel.references)) {
      const y = this.y(value);
      this.picture.append(
        drawn("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y, class: "reference" }),
        drawn("text", { x: EDGE.left + 4, y: y - 4, class: "tick" }, name),
      );
    }
    for (const it of this.series) this.picture.append(...this.lines(it));
    this.pointer = drawn("line", { y1: EDGE.top, y2: HEIGHT - EDGE.bottom, class: "pointer" });
    this.picture.append(this.pointer);
    const ends = this.series.map((it) => `${it.name} ends at ${short(lastOf(it.y))}`);
    this.picture.setAttribute("aria-label", `${this.panel.title}: ${ends.join(", ")}`);
  }

  /** The line of a series, in parts between its gaps; a part of one epoch is a dot. */
  lines(series) {
    const parts = [[]];
    series.y.forEach((value, k) => {
      if (value === null) parts.push([]);
      else parts[parts.length - 1].push([this.x(series.x[k]), this.y(value)]);
    });
    const kind = `curve${series.dashed ? " dashed" : ""}${series.reference ? " muted" : ""}`;
    const stroke = series.color ? { stroke: css(series.color) } : {};
    return parts
      .filter((part) => part.length)
      .map((part) =>
        part.length > 1
          ? drawn("polyline", {
              points: part.map((it) => it.map((v) => v.toFixed(1)).join(",")).join(" "),
              class: kind,
              ...stroke,
            })
          : drawn("circle", {
              cx: part[0][0],
              cy: part[0][1],
              r: 3,
              class: "dot",
              ...(series.color ? { fill: css(series.color) } : {}),
            }),
      );
  }

  /** Show the values of one epoch. */
  read(index) {
    this.index = clamp(index, 0, this.epochs.length - 1);
    const epoch = this.epochs[this.index];
    const x = this.x(epoch);
    this.pointer.setAttribute("x1", x);
    this.pointer.setAttribute("x2", x);
    const parts = this.series.map((it) => {
      const dot = element("span", { class: it.dashed ? "dot ring" : "dot", "aria-hidden": "true" });
      if (it.color) dot.style.setProperty("--of", css(it.color));
      return element("span", {}, dot, `${it.name} ${short(it.y[it.x.indexOf(epoch)] ?? null)}`);
    });
    this.readout.replaceChildren(element("span", {}, `epoch ${epoch}`), ...parts);
  }

  listen() {
    this.picture.addEventListener("pointermove", (event) => {
      const box = this.picture.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * WIDTH;
      const away = this.epochs.map((epoch) => Math.abs(this.x(epoch) - at));
      this.read(away.indexOf(Math.min(...away)));
    });
    this.picture.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      this.read(this.index + by);
      announce(this.readout.textContent);
    });
  }
}

const lastOf = (values) => values.filter((it) => it !== null).pop() ?? null;

/** Powers of ten, and their halves and fifths where there are few. */
function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const it of high / low > 1000 ? [1] : [1, 2, 5]) {
      const value = it * 10 ** power;
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

/** The curves that show a failure: the panels of its metrics, with these series alone. */
function evidence(panels, run, keys, runs) {
  return panels
    .map((panel) => ({ ...panel, series: panel.series.filter((it) => it.run === run && keys.includes(it.key)) }))
    .filter((panel) => panel.series.length)
    .map((panel) => new Chart(panel, runs).element);
}
