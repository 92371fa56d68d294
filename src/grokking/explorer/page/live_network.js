"use strict";
// The quadratic MLP in float32, trained by AdamW on all training pairs at once, as the engine trains it.
// T tokens, N hidden units, V answers (one per token), W: V rounded up to a multiple of four, B pairs of a block

const BLOCK = 480;  // B, a multiple of four: activations of a block stay in the processor's cache

class LiveNetwork {
  // recipe: as in the page; products: the module of products.wasm; trained: T × T bytes, 1 for a training pair;
  // weights: {first: a row per token as a, then as b, (2T, N); readout: a row per answer, (V, N)}
  constructor(recipe, products, weights, trained) {
    this.recipe = recipe;
    this.tokens = recipe.tokens;
    this.width = recipe.width;
    this.columns = 4 * Math.ceil(recipe.tokens / 4);
    this.products = new WebAssembly.Instance(products).exports;
    this.free = 0;
    this.first = this.parameter(weights.first);
    this.readout = this.parameter(weights.readout);
    this.readoutNW = this.floats(this.width * this.columns);   // transposed, for the way forward
    this.readoutGradWN = this.floats(this.columns * this.width);  // with a row for each padded answer
    this.readoutWN = this.floats(this.columns * this.width);
    this.sumsBN = this.floats(BLOCK * this.width);
    this.hiddenBN = this.floats(BLOCK * this.width);
    this.hiddenGradBN = this.floats(BLOCK * this.width);
    this.logitsBW = this.floats(BLOCK * this.columns);
    this.all = Uint32Array.from({ length: trained.length }, (_, pair) => pair);
    this.trained = trained;
    this.training = this.all.filter(pair => trained[pair]);
    this.step = 0;
  }

  // One update on all training pairs.
  update() {
    this.step += 1;
    this.copyReadout();
    this.first.grad.values.fill(0);
    this.readoutGradWN.values.fill(0);
    for (let start = 0; start < this.training.length; start += BLOCK) {
      const pairs = this.training.subarray(start, start + BLOCK);
      this.forward(pairs);
      this.lossGrad(pairs);
      this.backward(pairs);
    }
    this.readout.grad.values.set(this.readoutGradWN.values.subarray(0, this.tokens * this.width));
    this.adamw(this.first);
    this.adamw(this.readout);
  }

  // Loss and accuracy on the training pairs and on all others, and the answer to every pair.
  measure() {
    this.copyReadout();
    const answers = new Uint8Array(this.all.length);
    const parts = [0, 1].map(() => ({ loss: 0, accuracy: 0, pairs: 0 }));
    for (let start = 0; start < this.all.length; start += BLOCK) {
      const pairs = this.all.subarray(start, start + BLOCK);
      this.forward(pairs);
      pairs.forEach((pair, row) => this.judge(pair, row, answers, parts[this.trained[pair]]));
    }
    for (const part of parts) { part.loss /= part.pairs; part.accuracy /= part.pairs; }
    return { step: this.step, validation: parts[0], train: parts[1], answers };
  }

  judge(pair, row, answers, part) {
    const logits = this.logitsBW.values.subarray(row * this.columns, row * this.columns + this.tokens);
    const right = this.answer(pair);
    let best = 0, squares = 0;
    for (let v = 0; v < logits.length; v++) {
      if (logits[v] > logits[best]) best = v;
      squares += (logits[v] - (v === right)) ** 2;
    }
    answers[pair] = best;
    part.loss += squares / this.tokens;
    part.accuracy += best === right;
    part.pairs += 1;
  }

  answer(pair) { return (Math.floor(pair / this.tokens) + pair % this.tokens) % this.tokens; }

  // Logits of a block: hidden = (row of a + row of b)², logits = hidden · readoutᵀ.
  forward(pairs) {
    const first = this.first.values, sums = this.sumsBN.values, hidden = this.hiddenBN.values, N = this.width;
    pairs.forEach((pair, row) => {
      const a = Math.floor(pair / this.tokens) * N, b = (this.tokens + pair % this.tokens) * N, at = row * N;
      for (let n = 0; n < N; n++) {
        const sum = first[a + n] + first[b + n];
        sums[at + n] = sum;
        hidden[at + n] = sum * sum;
      }
    });
    const { hiddenBN, readoutNW, logitsBW } = this;
    this.products.multiply(hiddenBN.address, readoutNW.address, logitsBW.address, fours(pairs.length), N, this.columns);
  }

  // The logits become the gradient of the mean squared error, averaged over answers and training pairs.
  lossGrad(pairs) {
    const logits = this.logitsBW.values, factor = 2 / this.tokens / this.training.length;
    pairs.forEach((pair, row) => { logits[row * this.columns + this.answer(pair)] -= 1; });
    const end = pairs.length * this.columns;
    for (let i = 0; i < end; i++) logits[i] *= factor;
    logits.fill(0, end);
  }

  backward(pairs) {
    const { hiddenBN, hiddenGradBN, logitsBW, readoutGradWN, readoutWN, width: N, columns } = this;
    const rows = fours(pairs.length);
    this.products.addTransposedProduct(logitsBW.address, hiddenBN.address, readoutGradWN.address, rows, columns, N);
    this.products.multiply(logitsBW.address, readoutWN.address, hiddenGradBN.address, rows, columns, N);
    const grad = this.first.grad.values, sums = this.sumsBN.values, hiddenGrad = hiddenGradBN.values;
    pairs.forEach((pair, row) => {
      const a = Math.floor(pair / this.tokens) * N, b = (this.tokens + pair % this.tokens) * N, at = row * N;
      for (let n = 0; n < N; n++) {
        const change = 2 * sums[at + n] * hiddenGrad[at + n];
        grad[a + n] += change;
        grad[b + n] += change;
      }
    });
  }

  adamw(parameter) {
    const { learning_rate: rate, weight_decay, beta1, beta2, epsilon } = this.recipe;
    const kept = 1 - rate * weight_decay, size = rate / (1 - beta1 ** this.step), correction = 1 / (1 - beta2 ** this.step);
    const values = parameter.values, grad = parameter.grad.values;
    const mean = parameter.mean.values, square = parameter.square.values;
    for (let i = 0; i < values.length; i++) {
      mean[i] += (1 - beta1) * (grad[i] - mean[i]);
      square[i] += (1 - beta2) * (grad[i] ** 2 - square[i]);
      values[i] = kept * values[i] - size * mean[i] / (Math.sqrt(square[i] * correction) + epsilon);
    }
  }

  copyReadout() {
    const from = this.readout.values, transposed = this.readoutNW.values, N = this.width;
    this.readoutWN.values.set(from);
    for (let v = 0; v < this.tokens; v++)
      for (let n = 0; n < N; n++) transposed[n * this.columns + v] = from[v * N + n];
  }

  // A parameter with its gradient and AdamW's two moments.
  parameter(initial) {
    const made = this.floats(initial.length);
    made.values.set(initial);
    for (const name of ["grad", "mean", "square"]) made[name] = this.floats(initial.length);
    return made;
  }

  // Zeros in the memory of the products.
  floats(count) {
    const address = this.free, memory = this.products.memory;
    this.free += 16 * Math.ceil(count / 4);
    const missing = Math.ceil((this.free - memory.buffer.byteLength) / 65536);
    if (missing > 0) memory.grow(missing);
    return { address, get values() { return new Float32Array(memory.buffer, address, count); } };
  }
}

function fours(count) { return 4 * Math.ceil(count / 4); }

// Numbers in [0, 1) from a seed: mulberry32, by Tommy Ettinger, in the public domain.
function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Initial weights, normal with the recipe's init_scale, and a random choice of training pairs.
function begin(recipe, seed) {
  const next = uniforms(seed), { tokens, width, init_scale } = recipe;
  const normal = () => init_scale * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const weights = {
    first: Float32Array.from({ length: 2 * tokens * width }, normal),
    readout: Float32Array.from({ length: tokens * width }, normal),
  };
  const pairs = Array.from({ length: tokens * tokens }, (_, pair) => pair), trained = new Uint8Array(pairs.length);
  const wanted = Math.round(recipe.train_fraction * pairs.length);
  for (let i = 0; i < wanted; i++) {
    const j = i + Math.floor(next() * (pairs.length - i));
    [pairs[i], pairs[j]] = [pairs[j], pairs[i]];
    trained[pairs[i]] = 1;
  }
  return { weights, trained };
}
