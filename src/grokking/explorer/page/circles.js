// The tokens in the planes of the strongest frequencies; a token's colour is its angle on a perfect circle.

const RADIUS = 1.5;  // that fits into a plane; a perfect circle has a radius of 1

class Circles extends Drawing {
  // points: F × n × 2 bytes, for the tokens in the order in which the operation is addition
  draw(points, frequencies, n) {
    const { pen, width, height, ...colour } = this.begin();
    const columns = 2, side = Math.min(width / columns, height / 2);
    frequencies.forEach((frequency, f) => {
      const middle = [(f % columns + 0.5) * width / columns, (Math.floor(f / columns) + 0.5) * height / 2];
      const unit = (side / 2 - 6) / RADIUS;
      pen.strokeStyle = colour.line;
      pen.beginPath();
      pen.arc(...middle, unit, 0, 2 * Math.PI);
      pen.stroke();
      for (let i = 0; i < n; i++) {
        const at = 2 * (f * n + i);
        pen.fillStyle = `hsl(${360 * (i * frequency % n) / n} 65% 50%)`;
        pen.beginPath();
        pen.arc(middle[0] + unit * RADIUS * points[at] / 127, middle[1] - unit * RADIUS * points[at + 1] / 127, 2.6, 0, 7);
        pen.fill();
      }
      pen.fillStyle = colour.quiet;
      pen.textAlign = "left";
      pen.fillText(`k = ${frequency}`, (f % columns) * width / columns + 4, Math.floor(f / columns) * height / 2 + 14);
    });
  }
}
