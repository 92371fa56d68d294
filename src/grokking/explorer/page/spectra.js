// Neurons over frequencies, each neuron's power as shades of one colour.
class NeuronSpectra extends Drawing {
  // power: M × K bytes
  draw(power, [neurons, frequencies]) {
    const { pen, width, height, ...colour } = this.begin();
    const left = 30, bottom = 22, w = (width - left - 8) / frequencies;
    const shades = Array.from({ length: 256 }, (_, share) => pixel(mix(colour.box, colour.right, Math.sqrt(share / 255))));
    const image = new ImageData(frequencies, neurons), pixels = new Uint32Array(image.data.buffer);
    power.forEach((share, i) => { pixels[i] = shades[share]; });
    const small = new OffscreenCanvas(frequencies, neurons);
    small.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, left, 6, width - left - 8, height - bottom - 6);
    frequencyAxis(pen, colour, left, w, frequencies, height);
    pen.save();
    pen.translate(14, height / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(`${neurons} neurons`, 0, 0);
    pen.restore();
  }
}

// How much of the logits is a function of a + b, by frequency.
class LogitSpectrum extends Drawing {
  // shares: K numbers of two bytes
  draw(shares) {
    const { pen, width, height, ...colour } = this.begin();
    const left = 44, bottom = 22, w = (width - left - 8) / shares.length, top = Math.max(...shares, 3277);
    const y = share => height - bottom - (height - bottom - 10) * share / top;
    pen.textAlign = "right";
    pen.fillStyle = colour.quiet;
    pen.fillText(percent(top / 65535), left - 4, y(top) + 8);
    pen.fillStyle = colour.right;
    shares.forEach((share, k) => pen.fillRect(left + k * w + 0.5, y(share), Math.max(1, w - 1), y(0) - y(share)));
    frequencyAxis(pen, colour, left, w, shares.length, height);
  }
}

function frequencyAxis(pen, colour, left, w, frequencies, height) {
  pen.fillStyle = colour.quiet;
  pen.textAlign = "center";
  for (let k = 10; k <= frequencies; k += 10) pen.fillText(String(k), left + (k - 0.5) * w, height - 8);
}
