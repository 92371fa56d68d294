// A network that is trained in the page, by a worker.

const LIVE = JSON.parse(document.getElementById("recipe").textContent);
const LOG_SLIDERS = { weight_decay: 3, learning_rate: 3 };  // sliders of a logarithm, and their digits

const TRAINING = "training pairs", OTHERS = "all others";
const STEPS = 60;

class Live {
  constructor(recipe) {
    this.recipe = recipe;
    this.products = fromBase64(recipe.products);
    this.chart = new Chart(at("live-accuracy"), "accuracy");
    this.grid = new AnswerGrid(at("live-grid"), () => {});
    const script = JSON.parse(document.getElementById("worker").textContent);
    this.worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = event => { at("live-story").textContent = `This browser cannot train: ${event.message}`; };
    const { tokens } = recipe, pairs = Uint16Array.from({ length: tokens ** 2 }, (_, pair) => pair);
    this.table = { tokens, position: pairs, right: pairs.map(pair => (Math.floor(pair / tokens) + pair % tokens) % tokens) };
    for (const id of ["weight_decay", "learning_rate", "train_fraction"]) at(id).addEventListener("input", () => this.read());
    at("train").addEventListener("click", () => (this.running ? this.stop() : this.start()));
    at("reset").addEventListener("click", () => this.reset());
    this.reset();
  }

  reset() {
    at("steps").value = STEPS;
    for (const id of Object.keys(LOG_SLIDERS)) at(id).value = Math.log10(this.recipe[id]);
    at("train_fraction").value = this.recipe.train_fraction;
    this.read();
  }

  // The recipe as the sliders have it.
  read() {
    const chosen = { ...this.recipe, train_fraction: Number(at("train_fraction").value) };
    for (const [id, digits] of Object.entries(LOG_SLIDERS)) {
      const slider = at(id);
      const lowest = slider.value === slider.min && id === "weight_decay";
      chosen[id] = lowest ? 0 : Number((10 ** Number(slider.value)).toPrecision(digits));
    }
    for (const id of ["weight_decay", "learning_rate", "train_fraction"]) at(`${id}-shown`).textContent = chosen[id];
    return chosen;
  }

  start() {
    this.history = { step: [], train_accuracy: [], validation_accuracy: [] };
    this.events = { [TRAINING]: null, [OTHERS]: null };
    this.running = true;
    this.began = performance.now();
    at("train").textContent = "Stop";
    this.steps = Number(at("steps").value);
    this.worker.postMessage({ recipe: this.read(), seed: Number(at("seed").value), steps: this.steps, products: this.products });
  }

  stop() {
    this.running = false;
    this.worker.postMessage({});
    at("train").textContent = "Train from scratch";
  }

  receive(measured) {
    if (!this.running) return;
    if (measured.trained) this.trained = measured.trained;
    const { step, train, validation } = measured;
    this.history.step.push(step);
    this.history.train_accuracy.push(train.accuracy);
    this.history.validation_accuracy.push(validation.accuracy);
    if (this.events[TRAINING] === null && train.accuracy >= 0.99) this.events[TRAINING] = step;
    if (this.events[OTHERS] === null && validation.accuracy >= 0.99) {
      this.events[OTHERS] = step;
      this.took = this.seconds();
    }
    this.chart.draw(this.history, this.events, step);
    this.grid.draw(this.table, measured.answers, null, this.trained);
    at("live-story").textContent = this.story(step, train, validation);
    if (step >= this.steps) this.stop();
  }

  seconds() { return ((performance.now() - this.began) / 1000).toFixed(1); }

  story(step, train, validation) {
    const { [TRAINING]: memorized, [OTHERS]: generalized } = this.events;
    return [
      `Step ${whole(step)}, ${this.seconds()} s: ${percent(train.accuracy)} of the training pairs are right, ${percent(validation.accuracy)} of all others.`,
      memorized === null ? "" : `99 % of the training pairs at step ${memorized}.`,
      generalized === null ? "" : `99 % of all others at step ${generalized}, after ${this.took} s.`,
    ].join(" ");
  }
}

const live = LIVE && new Live(LIVE);
