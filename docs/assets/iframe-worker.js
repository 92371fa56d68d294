"use strict";
// Browsers start no worker from a file, and the search is one. There its script runs in a hidden frame instead.
// Material looks for a script with this name before it fetches its own.

class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    document.body.append(this.frame);
    this.loaded = new Promise(resolve => { this.start(String(url), resolve); });
    addEventListener("message", event => {
      if (event.source !== this.frame.contentWindow) return;
      this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      if (this.onmessage) this.onmessage(event);
    });
  }

  // What a worker's script expects of its surroundings, and the script itself.
  start(url, loaded) {
    const inside = this.frame.contentWindow, page = inside.document;
    page.open();
    page.write("<!doctype html><body></body>");
    page.close();
    const load = address => new Promise(resolve => {
      const script = page.createElement("script");
      script.src = address;
      script.onload = resolve;
      page.body.append(script);
    });
    inside.postMessage = data => window.dispatchEvent(new MessageEvent("message", { data, source: inside }));
    inside.importScripts = (...addresses) => addresses.reduce((before, next) => before.then(() => load(next)), Promise.resolve());
    load(url).then(loaded);
  }

  postMessage(data) {
    const inside = this.frame.contentWindow;
    this.loaded.then(() => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
  }

  terminate() { this.frame.remove(); }
}

if (location.protocol === "file:") window.Worker = window.IFrameWorker = FrameWorker;
