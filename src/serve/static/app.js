// Follows the server: at each change the page is fetched again and its content is replaced. Reading works without it.
'use strict';

const main = document.getElementById('main');
const announce = document.getElementById('announce');
const link = document.getElementById('link');
let busy = false;
let again = false;

function states(root) {
  const found = new Map();
  for (const node of root.querySelectorAll('[data-state]')) found.set(node.dataset.name, node.dataset.state);
  return found;
}

function replace(fresh) {
  const open = new Map([...main.querySelectorAll('details')].map((node) => [node.id, node.open]));
  const before = states(main);
  for (const node of fresh.querySelectorAll('details')) if (open.has(node.id)) node.open = open.get(node.id);
  const scrolled = [...main.querySelectorAll('.scroll, .diff')].map((node) => node.scrollLeft);
  main.replaceChildren(...fresh.childNodes);
  main.querySelectorAll('.scroll, .diff').forEach((node, index) => { node.scrollLeft = scrolled[index] || 0; });
  const news = [...states(main)].filter(([name, state]) => before.has(name) && before.get(name) !== state);
  if (news.length) announce.textContent = news.map(([name, state]) => `${name} is ${state}`).join(', ');
}

// Somebody who is filling in a form is not interrupted; whoever stands on a link or a button stays there.
function isTyping() {
  const active = document.activeElement;
  if (active && main.contains(active) && active.matches('input, select')) return true;
  return [...main.querySelectorAll('input:not([type=hidden])')].some((field) => field.value !== field.defaultValue);
}

function place(node) {
  return node.tagName + (node.getAttribute('href') || node.textContent);
}

function keepFocus(change) {
  const active = document.activeElement;
  const at = active && active !== main && main.contains(active) ? place(active) : null;
  change();
  if (at === null) return;
  const same = [...main.querySelectorAll('a, button, summary, [tabindex]')].find((node) => place(node) === at);
  (same || main).focus({ preventScroll: true });
}

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.pathname, { headers: { accept: 'text/html' } });
    const text = await answer.text();
    // Asked last: typing may have begun while the page was on its way.
    if (answer.ok && !isTyping()) {
      const page = new DOMParser().parseFromString(text, 'text/html');
      keepFocus(() => replace(page.getElementById('main')));
    }
  } catch { /* the stream tells when the server is gone, and when it is back */ }
  busy = false;
  if (again) { again = false; refresh(); }
}

if (!location.pathname.startsWith('/login')) {
  const stream = new EventSource('/api/v1/events');
  let lost = false;
  stream.addEventListener('board', refresh);
  stream.addEventListener('open', () => { link.hidden = true; if (lost) refresh(); lost = false; });
  stream.addEventListener('error', () => { lost = true; link.hidden = false; });
  addEventListener('pagehide', () => stream.close());
}
