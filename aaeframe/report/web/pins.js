/* Pinned codes, side by side. */

const MOST_PINS = 8;

class Pins {
  constructor(state, scatter) {
    Object.assign(this, { state, scatter, pinned: [], listeners: [] });
    this.empty = element(
      "p",
      { class: "hint" },
      "Click a point, or any place of the plane, to pin it here and compare.",
    );
    this.list = element("ul", { class: "pins" });
    this.element = element("div", {}, this.empty, this.list);
  }

  listen(action) {
    this.listeners.push(action);
    action();
  }

  /** Pin a row, or the current code where there is none. */
  add(row) {
    const { state } = this;
    const pin = {
      row,
      code: row === null ? { ...state.code } : state.codeOfRow(row),
      label: row === null ? state.label : state.labelOfRow(row),
    };
    this.pinned = [...this.pinned, pin].slice(-MOST_PINS);
    announce(`Pinned ${row === null ? "the code at the cursor" : state.describe(row)}`);
    this.update();
  }

  remove(pin) {
    const place = this.pinned.indexOf(pin);
    this.pinned = this.pinned.filter((it) => it !== pin);
    this.update();
    const next = this.list.querySelectorAll(".remove")[Math.min(place, this.pinned.length - 1)];
    (next ?? this.scatter.overlay).focus({ preventScroll: true });
  }

  update() {
    this.empty.hidden = this.pinned.length > 0;
    this.list.replaceChildren(...this.pinned.map((pin, k) => this.card(pin, k)));
    this.mark();
    for (const action of this.listeners) action();
  }

  /** Show the pins in the plane. */
  mark() {
    this.scatter.marks = this.pinned.map(({ code }) => this.state.placeOf(code));
    this.scatter.redrawOverlay();
  }

  card(pin, index) {
    const { state } = this;
    let view;
    if (pin.row === null) {
      view = viewOf(state.look, "decoded");
      const values = state.decode(pin.code, pin.label);
      view.show(values, state.look.kind === "image" ? imageShape(values, state.look, state.originals) : null);
    } else {
      view = new PairView(state.look);
      view.show(state, pin.row);
    }
    const title = pin.row === null ? "a code" : state.describe(pin.row);
    const remove = button("Remove", () => this.remove(pin), {
      class: "quiet remove",
      "aria-label": `Remove pin ${index + 1}, ${title}`,
    });
    const go = button("Go to", () => {
      state.setCode(pin.code, pin.label);
      this.scatter.lookAt(state.placeOf(pin.code));
    });
    go.className = "quiet";
    go.setAttribute("aria-label", `Go to pin ${index + 1}, ${title}`);
    const head = element("p", { class: "pin-title" }, element("b", {}, String(index + 1)), ` ${title}`);
    return element("li", {}, head, view.element, element("div", { class: "row" }, go, remove));
  }
}
