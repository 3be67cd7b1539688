// Comfort on top of pages that work without it: times in one's own zone, a button that copies, waiting without a reload.
"use strict";

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) {
    time.title = time.textContent;
    time.textContent = at.toLocaleString(document.documentElement.lang, {day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false});
  }
}

for (const sample of document.querySelectorAll(".sample")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-describedby", sample.querySelector("h3").id);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(sample.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(sample.querySelector("code"));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  sample.append(button);
}

const waiting = document.querySelector("[data-wait]");
if (waiting) {
  const said = waiting.querySelector("[role=status]"), first = said.textContent, begun = Date.now();
  const look = async () => {
    try {
      const answer = await fetch(location.href, {headers: {Accept: "application/json"}, cache: "no-store"});
      if (answer.status !== 202 && answer.status < 500) return location.reload();
    } catch { /* it is looked again */ }
    const seconds = Math.round((Date.now() - begun) / 1000);
    if (seconds && seconds % 5 === 0) said.textContent = `${first} ${seconds} s so far.`;  // not so often that it is read out all the time
    setTimeout(look, seconds < 60 ? 1000 : 5000);
  };
  setTimeout(look, 500);
}
