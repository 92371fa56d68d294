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
    addEventListener("resize", () => this.show(this.index));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.index));
  }

  async open() {
    this.experiment = EXPERIMENTS[at("experiment").value];
    const { tokens, replicas, formula } = this.experiment;
    const [right, position] = await Promise.all([unpack(this.experiment.pairs), unpack(this.experiment.position)]);
    this.table = { tokens, right: right.values, position: position.values };
    at("replica").replaceChildren(...replicas.map(({ seed }, i) => new Option(seed, i)));
    at("formula").textContent = formula;
    for (const id of ["a", "b"]) at(id).max = tokens - 1;
    await this.openReplica();
  }

  async openReplica() {
    const share = this.replica ? this.index / (this.replica.steps.length - 1) : 0;
    this.replica = this.experiment.replicas[at("replica").value];
    const names = Object.keys(this.replica.arrays);
    const arrays = await Promise.all(names.map(name => unpack(this.replica.arrays[name])));
    this.arrays = Object.fromEntries(names.map((name, i) => [name, arrays[i]]));
    this.trained = (await unpack(this.replica.trained)).values;
    at("step").max = this.replica.steps.length - 1;
    for (const panel of document.querySelectorAll(".circuit")) panel.hidden = !this.arrays.circles;
    this.show(Math.round(share * (this.replica.steps.length - 1)));
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
    const { history } = this.replica, i = Math.max(0, history.step.findLastIndex(s => s <= step));
    const [train, validation] = [history.train_accuracy[i], history.validation_accuracy[i]];
    const stage = train < 0.99 ? "It is still memorizing." : validation < 0.2 ? "It has memorized, and nothing more."
      : validation < 0.99 ? "It is generalizing." : "It has generalized.";
    return `Step ${whole(step)}: ${percent(train)} of the training pairs are right, ${percent(validation)} of all others. ${stage}`;
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
    at("answered").textContent = !known ? `There is no such pair: tokens are 0 to ${tokens - 1}.` : [
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

const explorer = new Explorer();
const opened = explorer.open();
