"""What stands on the gallery and on the page that is shown while a demo opens, and how they look."""

from string import Template

from demos.theme import THEME

INTRODUCTION = """# Contrastive learning for Keras, to try out
Each card is a task with a live page behind it. Models are small and learn from built-in data on this machine
when their page is first opened; nothing is downloaded or sent anywhere. Under each: what was measured with
`contrast reproduce`, beside what needs no training."""

CSS = """
#introduction h1 {margin: 0 0 4px; font-size: 1.5rem}
#introduction p {margin: 0; max-width: 52rem}
.cards-of-gallery {list-style: none; margin: 8px 0 0; padding: 0; display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr))}
.cards-of-gallery > li {margin: 0; display: flex; flex-direction: column; border-radius: 10px;
  overflow: hidden; border: 1px solid var(--border-color-primary); background: var(--block-background-fill);
  color: var(--body-text-color); position: relative}
.cards-of-gallery > li:has(a.open):hover {border-color: var(--color-accent)}
.cards-of-gallery > li:has(a.open:focus-visible) {outline: 3px solid var(--color-accent); outline-offset: 2px}
.cards-of-gallery img {display: block; width: 100%; aspect-ratio: 8 / 5; object-fit: cover; margin: 0;
  object-position: top left; border-bottom: 1px solid var(--border-color-primary); background: #fff}
.dark .cards-of-gallery img {filter: brightness(.85)}
.cards-of-gallery .words {padding: 10px 14px 12px; display: flex; flex-direction: column; gap: 8px; flex: 1}
.cards-of-gallery h2 {margin: 0; font-size: 1.1rem; color: var(--body-text-color)}
.cards-of-gallery p {margin: 0; line-height: 1.4}
.cards-of-gallery .models, .cards-of-gallery .on, .cards-of-gallery .kept {font-size: .82rem;
  color: #555c6b}
.dark .cards-of-gallery .models, .dark .cards-of-gallery .on, .dark .cards-of-gallery .kept {color: #c3c6cf}
.cards-of-gallery details {font-size: .82rem; position: relative; z-index: 1}
.cards-of-gallery summary {cursor: pointer; width: fit-content}
.cards-of-gallery details ul {margin: 4px 0 0; padding: 0; list-style: none}
.cards-of-gallery details li {margin: 0 0 3px; padding-left: 1.3em; text-indent: -1.3em; line-height: 1.35}
.cards-of-gallery details span {display: inline-block; width: 1.3em; text-indent: 0}
.cards-of-gallery a.open {padding: 0; margin: 0; font-weight: 600; color: var(--link-text-color);
  text-decoration: underline}
.cards-of-gallery a.open::after {content: ""; position: absolute; inset: 0}
.cards-of-gallery a.open:focus-visible {outline: none}
.cards-of-gallery .foot {margin-top: auto; display: flex; justify-content: space-between; gap: 8px;
  align-items: baseline; flex-wrap: wrap}
.cards-of-gallery .verdict {font-weight: 600; font-size: .9rem}
.cards-of-gallery .holds {color: #17693a} .dark .cards-of-gallery .holds {color: #7fd6a0}
.cards-of-gallery .fails {color: #9a3412} .dark .cards-of-gallery .fails {color: #fdba74}
.cards-of-gallery .measured {display: grid; grid-template-columns: 1fr auto; gap: 0 8px; margin: 0;
  font-size: .82rem; align-items: center; line-height: 1.35}
.cards-of-gallery .measured dt {margin: 0; font-weight: 400; grid-column: 1 / -1; overflow-wrap: anywhere}
.cards-of-gallery .measured dd {margin: 0; display: contents}
.cards-of-gallery .track {height: 8px; border-radius: 4px; background: var(--border-color-primary);
  overflow: hidden}
.cards-of-gallery .track span {display: block; height: 100%; background: var(--color-accent)}
.cards-of-gallery .baseline .track span {background: var(--body-text-color-subdued)}
.cards-of-gallery .number {font-variant-numeric: tabular-nums; text-align: right}
#cache {font-size: .85rem; margin-top: 12px}
#cache p {margin: 0; overflow-wrap: anywhere}
"""

# the theme that was asked for in the address is kept on the way to a demo
KEEP_THEME = """
element.addEventListener("click", (event) => {
  const link = event.target.closest("a.open");
  if (link) link.search = window.location.search;
});
"""

LAUNCH = {"theme": THEME, "css": CSS}

WAITING_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title · keras-contrast</title>
<noscript><meta http-equiv="refresh" content="3"></noscript>
<style>
:root {color-scheme: light; --ground: #fff; --ink: #1f2430; --soft: #555c6b; --accent: #4f46e5}
:root.dark {color-scheme: dark; --ground: #0b0f19; --ink: #f0f1f4; --soft: #c3c6cf; --accent: #a5b4fc}
body {margin: 0; background: var(--ground); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif}
main {max-width: 40rem; margin: 0 auto; padding: 12vh 20px 20px}
h1 {font-size: 1.5rem; margin: 0 0 12px}
progress {width: 100%; height: 14px; accent-color: var(--accent)}
p {margin: 8px 0} .soft {color: var(--soft); font-size: .9rem}
a {color: var(--accent)}
button {font: inherit; padding: 6px 16px}
[hidden] {display: none}
</style>
</head>
<body>
<main>
<nav><a href="../">&larr; All demos</a></nav>
<h1 id="title">$title</h1>
<div id="working"$working>
<progress id="bar" max="1" aria-label="Progress of the opening"$bar></progress>
<p id="text" role="status">$text</p>
<p class="soft"><span id="time"></span></p>
<p class="soft">Models that were never opened here are trained first, which takes from half a minute to some
minutes, and are kept: the next opening takes seconds. You may go back; the training goes on.</p>
</div>
<form id="failed" method="post" action="$status"$failed>
<p><strong>Not opened.</strong> <span id="reason">$text</span></p>
<button>Try again</button>
</form>
</main>
<script>
const theme = new URLSearchParams(location.search).get("__theme");
const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.classList.toggle("dark", dark);
document.querySelector("nav a").search = location.search;
const part = (id) => document.getElementById(id);
const clock = (seconds) => Math.floor(seconds / 60) + ":" + String(Math.floor(seconds % 60)).padStart(2, "0");
let shown = part("text").textContent;
async function look() {
  let status;
  try {
    status = await (await fetch("$status", {cache: "no-store"})).json();
  } catch (error) {
    part("time").textContent = "The server does not answer. Is the command still running?";
    return;
  }
  if (status.state === $open) return location.reload();
  part("failed").hidden = status.state !== $ended;
  part("working").hidden = status.state === $ended;
  part("reason").textContent = status.text;
  if (status.text !== shown) part("text").textContent = shown = status.text;
  if (status.part === null) part("bar").removeAttribute("value");
  else part("bar").value = status.part;
  let time = clock(status.seconds) + " min so far";
  if (status.part !== null) time += ", " + Math.floor(100 * status.part) + " % of this stage";
  part("time").textContent = time;
}
look();
setInterval(look, 500);
</script>
</body>
</html>
""")
