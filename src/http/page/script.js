// Keeps the sections of the page live. Without it the page shows how things stood when it was loaded.
"use strict";
(() => {
  const live = document.getElementById("live");
  const source = new EventSource("/page/live");
  source.addEventListener("sections", (event) => {
    const { sections, title, now } = JSON.parse(event.data);
    for (const [id, html] of Object.entries(sections)) {
      const old = document.getElementById(id);
      // What somebody is about to use is not taken away under their hands.
      if (!old || old.contains(document.activeElement) || old.outerHTML === html) continue;
      const template = document.createElement("template");
      template.innerHTML = html;
      if (!old.isEqualNode(template.content.firstElementChild)) old.replaceWith(template.content);
    }
    document.title = title;
    live.textContent = now;
  });
  source.addEventListener("error", () => {
    live.textContent = live.dataset.gone;
  });
})();
