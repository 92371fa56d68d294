// One replica at one of its snapshots, in all pictures at once.

const EXPERIMENTS = JSON.parse(document.getElementById("experiments").textContent);
const at = id => document.getElementById(id);

class Explorer {
  constructor() {
    this.charts = [new Chart(at("accuracy"), "accuracy"), new Chart(at("loss"), "loss")];
    this.grid = new AnswerGrid(at("grid"), (a, b) => this.ask(a, b));
    this.circles = new Circles(at("circles"));
    this.neurons = new NeuronSpectra(at("neurons"));
    this.logits = new LogitSpectrum(at("logits"));
    for (const [i, experiment] of EXPERIMENTS.entries()) at("experiment").add(new Option(experiment.title, i));
    at("experiment").addEventListener("change", () => this.open());
    at("replica").addEventListener("change", () => this.openReplica());
    at("step").addEventListener("input", () => this.show(Number(at("step").value)));
    at("play").addEventListener("click", () => this.toggle());
    for (const id of ["a", "b"]) at(id).addEventListener("input", () => this.show(this.index));
    addEventListener("resize", () => this.replica && this.show(this.index));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.index));
  }

  // Shows the chosen experiment, from its first replica.
  async open() {
    const { replicas } = EXPERIMENTS[at("experiment").value];
    at("replica").replaceChildren(...replicas.map(({ seed }, i) => new Option(seed, i)));
    await this.openReplica();
  }

  // Shows the chosen replica, at the same share of its training; another choice made meanwhile comes instead.
  async openReplica() {
    const mine = this.opening = {}, experiment = EXPERIMENTS[at("experiment").value];
    const replica = experiment.replicas[at("replica").value], names = Object.keys(replica.arrays);
    const packed = [experiment.pairs, experiment.position, replica.trained, ...names.map(name => replica.arrays[name])];
    const [right, position, trained, ...arrays] = await Promise.all(packed.map(unpack));
    if (mine !== this.opening) return;
    const share = this.replica ? this.index / (this.replica.steps.length - 1) : 0;
    this.table = { tokens: experiment.tokens, right: right.values, position: position.values };
    this.trained = trained.values;
    this.arrays = Object.fromEntries(names.map((name, i) => [name, arrays[i]]));
    Object.assign(this, { experiment, replica });
    at("formula").textContent = experiment.formula;
    for (const id of ["a", "b"]) at(id).max = experiment.tokens - 1;
    at("step").max = replica.steps.length - 1;
    for (const panel of document.querySelectorAll(".circuit")) panel.hidden = !this.arrays.circles;
    this.show(Math.round(share * (replica.steps.length - 1)));
  }

  // Every picture of the snapshot with this number.
  show(index) {
    this.index = index;
    const { steps, history, memorized, generalized, frequencies } = this.replica, step = steps[index];
    at("step").value = index;
    at("step").setAttribute("aria-valuetext", `step ${whole(step)}`);
    at("shown").textContent = `step ${whole(step)}`;
    for (const chart of this.charts) chart.draw(history, { memorized, generalized }, step);
    this.answers = frame(this.arrays.answers, index);
    this.certainty = frame(this.arrays.certainty, index);
    this.grid.draw(this.table, this.answers, this.certainty, this.trained);
    if (this.arrays.circles) {
      this.circles.draw(frame(this.arrays.circles, index), frequencies, this.experiment.order.length);
      this.neurons.draw(frame(this.arrays.neuron_power, index), this.arrays.neuron_power.shape.slice(1));
      const shares = frame(this.arrays.logit_power, index);
      this.logits.draw(shares);
      at("sum").textContent = percent(shares.reduce((sum, share) => sum + share / 65535, 0));
    }
    at("story").textContent = this.story(step);
    this.answer();
  }

  // What the network can do at this step, in a sentence.
  story(step) {
    const [validation, train] = this.accuracies();
    const stage = train < 0.99 ? "It is still memorizing." : validation < 0.2 ? "It has memorized, and nothing more."
      : validation < 0.99 ? "It is generalizing." : "It has generalized.";
    return `Step ${whole(step)}: ${percent(train)} of the training pairs are right, ${percent(validation)} of all others. ${stage}`;
  }

  // Shares of right answers among the pairs that were not trained on, and among those that were.
  accuracies() {
    const right = [0, 0], all = [0, 0], { table, trained, answers } = this;
    table.position.forEach((index, pair) => {
      if (index === NO_PAIR) return;
      all[trained[index]] += 1;
      right[trained[index]] += answers[index] === table.right[pair];
    });
    return right.map((count, i) => count / all[i]);
  }

  ask(a, b) {
    at("a").value = a;
    at("b").value = b;
    this.answer();
  }

  // What the network at this step answers to the pair (a, b).
  answer() {
    const [a, b] = ["a", "b"].map(id => Number(at(id).value)), { tokens, right, position } = this.table;
    const pair = a * tokens + b, index = position[pair];
    const known = [a, b].every(n => Number.isInteger(n) && n >= 0 && n < tokens) && index !== NO_PAIR;
    at("answered").textContent = !known ? `There is no such pair in this table.` : [
      `The network answers ${this.answers[index]}, ${percent(this.certainty[index] / LEVELS)} sure.`,
      this.answers[index] === right[pair] ? "That is right." : `The right answer is ${right[pair]}.`,
      this.trained[index] ? "It was trained on this pair." : "It was never trained on this pair.",
    ].join(" ");
  }

  // Play goes through the snapshots, and begins again at the end.
  toggle() {
    if (this.timer) return this.pause();
    if (this.index === this.replica.steps.length - 1) this.show(0);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    at("play").textContent = "Pause";
    this.timer = setInterval(() => {
      this.show(this.index + 1);
      if (this.index === this.replica.steps.length - 1) this.pause();
    }, calm ? 1500 : 450);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    at("play").textContent = "Play";
  }
}

const explorer = EXPERIMENTS.length ? new Explorer() : null;
const opened = explorer && explorer.open();
