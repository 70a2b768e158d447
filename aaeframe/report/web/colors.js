/* Colors of classes and numbers, readable on light and dark, and by color-blind people. */

const CLASS_COLORS = [
  [52, 120, 214],
  [232, 132, 12],
  [14, 158, 124],
  [214, 58, 92],
  [150, 104, 210],
  [38, 178, 230],
  [166, 100, 42],
  [232, 120, 182],
  [112, 168, 48],
  [176, 172, 28],
];
const NO_CLASS = [140, 140, 140];

/** From low to high: a part of the color map cividis, without its darkest and its lightest end. */
const RAMP = [
  [32, 72, 140],
  [70, 96, 150],
  [104, 122, 150],
  [140, 148, 140],
  [184, 176, 114],
  [236, 206, 62],
];

/** The color of one class of many. Beyond the palette, hues are spread by the golden angle. */
function classColor(index) {
  if (index < 0) return NO_CLASS;
  if (index < CLASS_COLORS.length) return CLASS_COLORS[index];
  return fromHue((index * 137.508) % 360, 0.55, index % 2 ? 0.62 : 0.46);
}

/** Red, green and blue of hue, saturation and lightness. */
function fromHue(hue, saturation, lightness) {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((shift) => {
    const k = (shift + hue / 30) % 12;
    return Math.round(255 * (lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}

/** The color of a share between 0 and 1. */
function rampColor(share) {
  const place = clamp(share, 0, 1) * (RAMP.length - 1);
  const below = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[below].map((value, k) => Math.round(value + (place - below) * (RAMP[below + 1][k] - value)));
}

const css = (color) => `rgb(${color.join(" ")})`;

/** A color of the style sheet as red, green and blue. */
function themeColor(name) {
  const probe = element("span", { class: "hidden" });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe)
    .color.match(/[\d.]+/g)
    .slice(0, 3)
    .map(Number);
  probe.remove();
  return found;
}
