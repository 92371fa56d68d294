// Every pair (a, b) as a cell: right or wrong, paler where the network is less sure, a dot where it was trained.
// A cell has a whole number of the screen's pixels, so that no dot is lost.

const WIDEST = 485;  // of the picture, in pixels of CSS
const NO_PAIR = 65535, LEVELS = 15;

class AnswerGrid {
  constructor(canvas, onPoint) {
    this.canvas = canvas;
    canvas.addEventListener("pointermove", event => this.point(event, onPoint));
    canvas.addEventListener("pointerdown", event => this.point(event, onPoint));
  }

  // table: {tokens, right, position}, both T × T; answers and certainty by position; trained by position
  draw(table, answers, certainty, trained) {
    const cell = this.resize(table.tokens), side = cell * table.tokens, colour = this.shades();
    const image = new ImageData(side, side), pixels = new Uint32Array(image.data.buffer);
    for (let pair = 0; pair < table.right.length; pair++) {
      const at = table.position[pair];
      if (at === NO_PAIR) continue;
      const shades = answers[at] === table.right[pair] ? colour.right : colour.wrong;
      const corner = Math.floor(pair / table.tokens) * cell * side + (pair % table.tokens) * cell;
      square(pixels, side, corner, cell, shades[certainty ? certainty[at] : LEVELS]);
      const dot = Math.max(1, Math.round(cell / 4)), inset = (cell - dot) >> 1;
      if (trained[at]) square(pixels, side, corner + inset * (side + 1), dot, colour.dot);
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    this.tokens = table.tokens;
  }

  // The side of a cell in pixels of the screen; the canvas gets its size.
  resize(tokens) {
    const ratio = devicePixelRatio || 1, room = Math.min(WIDEST, this.canvas.parentElement.clientWidth);
    const cell = Math.max(2, Math.floor(room * ratio / tokens)), side = cell * tokens;
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    this.canvas.style.width = this.canvas.style.height = `${side / ratio}px`;
    return cell;
  }

  // Colours as pixels: of right and wrong answers by certainty, and of dots.
  shades() {
    const { right, wrong, page, dot } = colours();
    const mixed = colour => Array.from({ length: LEVELS + 1 }, (_, level) => pixel(mix(page, colour, 0.25 + 0.75 * level / LEVELS)));
    return { right: mixed(right), wrong: mixed(wrong), dot: pixel(rgb(dot)) };
  }

  point(event, onPoint) {
    const box = this.canvas.getBoundingClientRect();
    const index = offset => Math.min(this.tokens - 1, Math.max(0, Math.floor(offset * this.tokens)));
    onPoint(index((event.clientY - box.top) / box.height), index((event.clientX - box.left) / box.width));
  }
}

function square(pixels, width, corner, side, colour) {
  for (let from = corner; from < corner + side * width; from += width) pixels.fill(colour, from, from + side);
}

function rgb(colour) { return [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16)); }
function mix(from, to, share) { return rgb(from).map((value, i) => value + share * (rgb(to)[i] - value)); }
function pixel([r, g, b]) { return (255 << 24 | Math.round(b) << 16 | Math.round(g) << 8 | Math.round(r)) >>> 0; }
