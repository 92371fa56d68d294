// Every pair (a, b) as a cell: right or wrong, paler where the network is less sure, a dot where it was trained.

const CELL = 5, DOT = 2;  // pixels of a cell's side, and its middle one
const NO_PAIR = 65535, LEVELS = 15;

class AnswerGrid {
  constructor(canvas, onPoint) {
    this.canvas = canvas;
    canvas.addEventListener("pointermove", event => this.point(event, onPoint));
    canvas.addEventListener("pointerdown", event => this.point(event, onPoint));
  }

  // table: {tokens, right, position}, both T × T; answers and certainty by position; trained by position
  draw(table, answers, certainty, trained) {
    const side = table.tokens * CELL, colour = this.shades();
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const image = new ImageData(side, side), pixels = new Uint32Array(image.data.buffer);
    for (let pair = 0; pair < table.right.length; pair++) {
      const at = table.position[pair];
      if (at === NO_PAIR) continue;
      const shades = answers[at] === table.right[pair] ? colour.right : colour.wrong;
      this.cell(pixels, side, pair, table.tokens, shades[certainty ? certainty[at] : LEVELS], trained[at] && colour.dot);
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    this.tokens = table.tokens;
  }

  cell(pixels, side, pair, tokens, colour, dot) {
    const corner = Math.floor(pair / tokens) * CELL * side + (pair % tokens) * CELL;
    for (let row = 0; row < CELL; row++) {
      const from = corner + row * side;
      pixels.fill(colour, from, from + CELL);
    }
    if (dot) pixels[corner + DOT * side + DOT] = dot;
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

function rgb(colour) { return [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16)); }
function mix(from, to, share) { return rgb(from).map((value, i) => value + share * (rgb(to)[i] - value)); }
function pixel([r, g, b]) { return (255 << 24 | Math.round(b) << 16 | Math.round(g) << 8 | Math.round(r)) >>> 0; }
