// A drawing on a canvas, in the colours of the page, sharp on every screen.

class Drawing {
  constructor(canvas) { this.canvas = canvas; }

  begin() {
    const { clientWidth: width, clientHeight: height } = this.canvas, ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    return { pen, width, height, ...colours() };
  }
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["text", "quiet", "line", "page", "box", "train", "validation", "right", "wrong", "dot"];
  return Object.fromEntries(names.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Curves over the steps, on a logarithmic axis, with the step that is shown and the two events.
class Chart extends Drawing {
  constructor(canvas, name) { super(canvas); this.name = name; }

  // history: {step, train_NAME, validation_NAME}; events: {memorized, generalized}
  draw(history, events, here) {
    const { pen, width, height, ...colour } = this.begin();
    const last = Math.max(10, history.step[history.step.length - 1]);
    const x = step => 44 + (width - 56) * Math.log(1 + step) / Math.log(1 + last);
    const y = this.axis(pen, width, height, history, colour);
    pen.textAlign = "center";
    for (let step = 1; step <= last; step *= 10) {
      line(pen, colour.line, [[x(step), 10], [x(step), height - 22]]);
      pen.fillStyle = colour.quiet;
      pen.fillText(whole(step), x(step), height - 8);
    }
    Object.entries(events).forEach(([name, step], i) => {
      if (step !== null) this.mark(pen, `${name} ${whole(step)}`, x(step), 20 + 16 * i, width, height, colour);
    });
    for (const part of ["train", "validation"]) {
      const values = history[`${part}_${this.name}`];
      const points = history.step.flatMap((step, i) => values[i] === null ? [] : [[x(step), y(values[i])]]);
      line(pen, colour[part], points, [], 1.8);
    }
    line(pen, colour.text, [[x(here), 4], [x(here), height - 22]], [], 1.5);
  }

  // A dashed line at an event, and its name beside it.
  mark(pen, text, x, y, width, height, colour) {
    line(pen, colour.quiet, [[x, 10], [x, height - 22]], [4, 3]);
    const { width: wide } = pen.measureText(text), left = x > width / 2 ? x - wide - 6 : x + 4;
    pen.textAlign = "left";
    pen.fillStyle = colour.text;
    pen.fillText(text, left, y);
  }

  // Draws the vertical axis; the place of a value.
  axis(pen, width, height, history, colour) {
    const values = [...history[`train_${this.name}`], ...history[`validation_${this.name}`]].filter(v => v !== null && v > 0);
    const loss = this.name === "loss", top = loss ? Math.max(...values, 1) : 1;
    const bottom = loss ? Math.max(Math.min(...values, 0.1), 1e-9) : 0;
    const share = loss ? v => Math.log(Math.max(v, bottom) / bottom) / Math.log(top / bottom) : v => v;
    const y = value => height - 22 - (height - 34) * share(value);
    const ticks = loss ? [9, 7, 5, 3, 2, 1, 0, -1].map(power => 10 ** -power) : [0, 0.5, 1];
    pen.textAlign = "right";
    for (const tick of ticks) if (tick >= bottom && tick <= top) {
      line(pen, colour.line, [[44, y(tick)], [width - 12, y(tick)]]);
      pen.fillStyle = colour.quiet;
      pen.fillText(!loss ? percent(tick) : tick < 0.01 ? tick.toExponential(0) : String(tick), 40, y(tick) + 4);
    }
    return y;
  }
}

function line(pen, colour, points, dashes = [], thickness = 1) {
  pen.strokeStyle = colour;
  pen.lineWidth = thickness;
  pen.setLineDash(dashes);
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
  pen.setLineDash([]);
}
