/* Helpers: elements, numbers and arrays. */

const byId = (id) => document.getElementById(id);

/** Make an element. Children that are strings become text, never markup. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Make an element of SVG with attributes. */
function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A button with a text, an action and further properties. */
const button = (text, action, properties = {}) =>
  element("button", { type: "button", onclick: action, ...properties }, text);

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** A number in few digits. */
function short(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(size >= 1 ? 2 : 3);
  return text.replace("-", "−");
}

/** Tell a screen reader, at most a few times a second. */
const announce = (() => {
  let waiting = 0;
  return (text) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      byId("live").textContent = text;
    }, 250);
  };
})();

/** Run a function at most once a frame, with the last arguments. */
function eachFrame(action) {
  let asked = null;
  return (...given) => {
    if (asked === null) {
      requestAnimationFrame(() => {
        const last = asked;
        asked = null;
        action(...last);
      });
    }
    asked = given;
  };
}

const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The 65,536 numbers of float16. */
let halves = null;
function halfTable() {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    halves[bits] = bits & 0x8000 ? -size : size;
  }
  return halves;
}

const TYPES = { float32: Float32Array, float64: Float64Array, int32: Int32Array, float16: Uint16Array };

/** The numbers of an array of the page; float16 becomes float32. */
function unpack({ type, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = text.charCodeAt(k);
  const found = new TYPES[type](bytes.buffer);
  if (type !== "float16") return found;
  const table = halfTable();
  return Float32Array.from(found, (bits) => table[bits]);
}

/** The least and the greatest of finite numbers. */
function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}
